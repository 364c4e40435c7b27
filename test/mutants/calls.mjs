// Calls: one outcome each, and the truth about its handler.

const header = (name) => `native/include/millrace/rpc/${name}.hpp`
const deaths = { native: 'crash/calls_deaths' }
const meetings = { native: 'crash/calls_meetings' }
const handles = { native: 'calls_test' }
const ends = { native: 'calls_ends_test' }
const loans = { native: 'calls_loans_test' }

export const calls = [
  {
    name: 'calls-answered-uncompared',
    file: header('call_steps'),
    text: `    if (!memory_.slot(index).word.compare_exchange_strong(
            bits, layout::answered_word(bits, caller, level), std::memory_order_seq_cst,
            std::memory_order_relaxed)) {
      return false;
    }
`,
    instead: '    memory_.slot(index).word.store(layout::answered_word(bits, caller, level));\n',
    breaks: 'a call that was withdrawn is answered',
    test: meetings,
    short: true,
  },
  {
    name: 'calls-died-not-executed',
    file: header('call_store'),
    text: 'answer.executed = layout::attempt_in(bits) != 0',
    instead: 'answer.executed = false',
    breaks: 'a caller is told that a call was not executed whose handler had begun',
    test: deaths,
  },
  {
    name: 'calls-withdrawn-not-executed',
    file: header('call_store'),
    text: 'return word.attempt != 0 ? Withdrawn::running : Withdrawn::not_started;',
    instead: 'return Withdrawn::not_started;',
    breaks: 'the same of one that is withdrawn',
    test: ends,
  },
  {
    name: 'calls-begun-again',
    file: header('call_burial'),
    text: '(is_idempotent(index) && word.attempt < kMostAttempts)',
    instead: 'word.attempt < kMostAttempts',
    breaks: 'what may be executed once is begun by another server',
    test: deaths,
  },
  {
    name: 'calls-half-an-answer-kept',
    file: header('call_burial'),
    text: '    sweep_answers(seat);\n',
    instead: '',
    breaks: 'room that a dead server had claimed for an answer stays in use',
    test: deaths,
  },
  {
    name: 'calls-answer-untold',
    file: header('call_burial'),
    text: `        case layout::SlotState::answered:
          if (!its) {
            tell(word.seat, index);
`,
    instead: `        case layout::SlotState::answered:
          if (!its) {
`,
    breaks: 'nobody tells a caller of an answer whose server died before it had',
    test: deaths,
  },
  {
    name: 'calls-dead-callers-served',
    file: header('call_burial'),
    text: 'return caller_of(index) != seat || cancel(index, bits, word);',
    instead: 'return true;',
    breaks: 'a server is not told that its caller died, and answers whoever has the seat',
    test: ends,
  },
  {
    name: 'calls-own-call-kept',
    file: header('call_burial'),
    text: 'if (caller == seat || caller == kNobody)',
    instead: 'if (caller == kNobody)',
    breaks: 'the call of a dead handle that had it in hand itself stays for ever',
    test: deaths,
  },
  {
    name: 'calls-left-unended',
    file: header('call_queue'),
    text: `    } else {
      end_if_unserved();
`,
    instead: '    } else {\n',
    breaks: 'the last server stops, and what waits for one waits for ever',
    test: handles,
  },
  {
    name: 'calls-served-once',
    file: header('call_queue'),
    text: '    if (!served()) [[unlikely]] {',
    instead: '    if (false) {',
    breaks: 'a call that is made while the last server stops waits for ever',
    test: meetings,
  },
  {
    name: 'calls-heard-twice',
    file: header('call_store'),
    text: ' || (held_[index / 64] & mark) != 0)',
    instead: ')',
    breaks: 'an outcome in hand is given once more when somebody is buried',
    test: handles,
  },
  {
    name: 'calls-late-begun',
    file: header('call_store'),
    text: 'if (expires != 0 && expires <= os::monotonic_ns())',
    instead: 'if (false)',
    breaks: 'a handler begins after the deadline of its call',
    test: ends,
  },
  {
    name: 'calls-loans-not-in-flight',
    file: header('call_store'),
    text: '    ++flying_;\n',
    instead: '',
    breaks: 'what was pushed is not known to be in flight',
    test: loans,
  },
  {
    name: 'calls-loans-of-withdrawn',
    file: header('call_store'),
    text: '        take_back(index);\n',
    instead: '',
    breaks: 'the room for the answer of a call that was withdrawn stays in use',
    test: loans,
  },
  {
    name: 'calls-loans-twice',
    file: header('call_store'),
    text: '    if (holds(lease) && is_lent(lease.slot)) return Answered::lent;\n',
    instead: '',
    breaks: 'of two loans for one answer nobody knows the first one',
    test: loans,
  },
  {
    name: 'calls-loans-of-others',
    file: header('call_store'),
    text: '((loan.word ^ lease.word) & layout::kTokenAlone) == 0 && ',
    instead: '',
    breaks: 'a loan that was given back answers the next call in its slot',
    test: loans,
  },
  {
    name: 'calls-interrupt-others',
    file: 'native/include/millrace/work/seats.hpp',
    text: '    fences_in_full_ = answers;\n',
    instead: '',
    breaks:
      'whoever waits for a call or an answer interrupts all other processors before it sleeps',
    test: handles,
  },
]
