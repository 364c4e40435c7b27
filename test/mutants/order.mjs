// Of the order in which jobs leave stages (native/include/millrace/work/order.hpp).

const orderMeetings = {
  native: 'crash/work_order_deaths',
  only: 'promise: work – whatever meets in an ordered stage*',
}

const orderDeaths = {
  native: 'crash/work_order_deaths',
  only: 'promise: work – whoever dies anywhere in an ordered stage*',
}

export const order = [
  {
    name: 'order-push-blocks-nobody',
    file: 'native/include/millrace/work/order.hpp',
    text: 'if (slot.born.load(std::memory_order_acquire) != word.token) return Front::gone;\n        break;',
    instead: 'return Front::gone;',
    breaks: 'a push that is under way is passed, and what its pusher pushes next overtakes it',
    test: orderMeetings,
    short: true,
  },
  {
    name: 'order-number-of-predecessor',
    file: 'native/include/millrace/work/job_pushes.hpp',
    text: 'slot.serial.store(0, std::memory_order_relaxed);',
    instead: '',
    breaks: 'a place in hand holds an ordered stage up, because its last job had a number',
    test: { native: 'work_order_test', only: 'work order: a place in hand*' },
  },
  {
    name: 'order-mark-unlooked',
    file: 'native/include/millrace/work/order.hpp',
    text: '} while (control.dirty.load(std::memory_order_seq_cst) != 0);',
    instead: '} while (false);',
    breaks: 'who finds the order in other hands, and leaves a mark there, waits for ever',
    test: orderMeetings,
    short: true,
  },
  {
    name: 'order-mark-unleft',
    file: 'native/include/millrace/work/order.hpp',
    text: 'control.dirty.store(1, std::memory_order_seq_cst);',
    instead: '',
    breaks: 'who finds the order in other hands goes away without a word',
    test: orderMeetings,
  },
  {
    name: 'order-passed-before-gone',
    file: 'native/include/millrace/work/order.hpp',
    text: 'if (!let_go(*slot, bits)) continue;',
    instead: 'pass(passed + 1);\n          if (!let_go(*slot, bits)) continue;',
    breaks:
      'who dies when it has counted a job off, and before it lets it go on, leaves it there for ever',
    test: orderDeaths,
  },
  {
    name: 'order-held-earlier-is-gone',
    file: 'native/include/millrace/work/order.hpp',
    text: 'return its == stage && word.state == layout::SlotState::held ? Front::held : Front::blocks;',
    instead:
      'if (word.state == layout::SlotState::held) return its == stage ? Front::held : Front::gone;\n    return Front::blocks;',
    breaks: 'a later ordered stage does not wait for what an earlier one holds',
    test: { native: 'work_order_test', only: 'work order: what an ordered stage holds*' },
  },
  {
    name: 'order-forgotten-is-gone',
    file: 'native/include/millrace/work/order.hpp',
    text: '        if (!oldest) {\n',
    instead: '        if (oldest || !oldest) {\n',
    breaks: 'a job that is further behind than the ring of numbers reaches is overtaken',
    test: { native: 'work_order_test', only: 'work order: numbers that the ring*' },
  },
  {
    name: 'order-skipped-stage',
    file: 'native/include/millrace/work/order.hpp',
    text: 'const std::uint32_t left = next > stage ? stages_from(stage) & ((1U << next) - 1) : 0;',
    instead: 'const std::uint32_t left = stages_from(stage) & (1U << stage);',
    breaks: 'a job that skips an ordered stage overtakes those who are in it',
    test: { native: 'work_order_test', only: 'work order: a job that skips*' },
  },
  {
    name: 'order-end-untold',
    file: 'native/include/millrace/work/job_steps.hpp',
    text: '    if (numbered) advance_from(stage);\n',
    instead: '    (void)numbered;\n    (void)stage;\n',
    breaks: 'what waited for a job that is completed waits for ever',
    test: { native: 'work_order_test', only: 'work order: whatever ends a job*' },
  },
  {
    name: 'order-death-untold',
    file: 'native/include/millrace/work/job_steps.hpp',
    text: '    balance();\n    advance_from(stage);\n',
    instead: '    balance();\n    (void)stage;\n',
    breaks: 'what waited for a job that became a dead letter waits for ever',
    test: { native: 'work_order_test', only: 'work order: whatever ends a job*' },
  },
  {
    name: 'order-expiry-unwatched',
    file: 'native/include/millrace/work/job_steps.hpp',
    text: '    publish(index, word, stage);\n    watch_expiry(index);\n',
    instead: '    publish(index, word, stage);\n',
    breaks: 'nobody looks at the time to live of a job that went on to the next stage',
    test: { native: 'work_order_test', only: 'work order: a time to live*' },
  },
  {
    name: 'order-dead-let-go',
    file: 'native/include/millrace/work/job_store.hpp',
    text: 'if (hold_back(index, word, next)) return;',
    instead: '',
    breaks: 'what a dead worker was done with goes on before its turn',
    test: orderDeaths,
    short: true,
  },
  {
    name: 'order-lock-unburied',
    file: 'native/include/millrace/work/job_store.hpp',
    text: '    order_.bury(seat);\n',
    instead: '',
    breaks: 'who dies with the order in hand takes it along',
    test: orderDeaths,
  },
  {
    name: 'order-burial-advances-nobody',
    file: 'native/include/millrace/work/job_store.hpp',
    text: '    balance();\n    advance_from(0);\n',
    instead: '    balance();\n',
    breaks: 'those whom the dead one was about to let go on wait for the next event',
    test: orderDeaths,
  },
  {
    name: 'order-redriven-unmarked',
    file: 'native/include/millrace/work/order.hpp',
    text: 'if ((word.flags & layout::kConfirmed) == 0) return Front::gone;',
    instead: 'return Front::gone;',
    breaks: 'a dead letter that is sent round again is overtaken by what is pushed later',
    test: orderMeetings,
  },
]
