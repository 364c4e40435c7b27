// Waits and wake-ups of the core.

export const waits = [
  {
    name: 'sleep-without-look',
    file: 'native/include/millrace/waiting.hpp',
    text: 'if (!ready()) sleeper.sleep(timeout_ns - spin_ns);',
    instead: 'sleeper.sleep(timeout_ns - spin_ns);',
    breaks: 'what came between the last look and parking wakes nobody',
    test: {
      native: 'crash/waiting_meetings',
      only: 'meeting: who lies down on a futex looks once more before it sleeps',
    },
  },
  {
    name: 'wait-begins-anew',
    file: 'native/include/millrace/waiting.hpp',
    text: '    if (line_->waiting_since.load(std::memory_order_relaxed) != 0) return;\n',
    instead: '',
    breaks: 'of a wait only the time since the last look is told',
    test: { native: 'observe_test', only: 'observe: how often and how long each side*' },
  },
  {
    name: 'permit-not-given-back',
    file: 'native/include/millrace/sync/permit_taker.hpp',
    text: '      (void)state.semaphore->post();\n',
    instead: '',
    breaks: 'a permit that comes when nobody wants it any more is lost',
    test: {
      native: 'permit_taker_test',
      only: 'a permit that comes while the thread leaves is put back',
    },
  },
  {
    name: 'cell-unmarked',
    file: 'native/include/millrace/cell_writer.hpp',
    text: 'slot.sequence.store(layout::writing(cursor_->version + 1), std::memory_order_release);',
    instead: '(void)slot;',
    breaks: 'a reader takes a value for whole that is being overwritten',
    test: { native: 'cell_test' },
  },
]
