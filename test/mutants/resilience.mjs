// Of rate limiters, circuit breakers, and policies around calls.

const everyOrderOfTurns = {
  native: 'rate_limiter_test',
  only: 'promise: rate – every order of steps*',
}
const everyOrderOfTrials = {
  native: 'breaker_test',
  only: 'promise: breaker – every order of steps*',
}

export const resilience = [
  {
    name: 'rate-old-clock-refills',
    file: 'native/include/millrace/sync/gcra.hpp',
    text: 'turn.after = std::max(word, now) + cost * rate_.interval;',
    instead: 'turn.after = std::max(word + cost * rate_.interval, now);',
    breaks: 'a permit that is taken after a quiet time costs nothing',
    test: everyOrderOfTurns,
    short: true,
  },
  {
    name: 'rate-turn-of-others-given-back',
    file: 'native/include/millrace/sync/gcra.hpp',
    text: 'std::uint64_t word = turn.after;\n    // release',
    instead: 'std::uint64_t word = word_.load(std::memory_order_relaxed);\n    // release',
    breaks: 'who gives a turn back gives back those of others that stand behind it',
    test: everyOrderOfTurns,
  },
  {
    name: 'rate-second-burst',
    file: 'native/include/millrace/sync/rate_limiter.hpp',
    text: 'if (locked && !segment_.anyone_else() && gcra().debt(now()) == 0) segment_.unlink();',
    instead: 'if (locked && !segment_.anyone_else()) segment_.unlink();',
    breaks: 'a program that is started again has another burst',
    test: { native: 'rate_limiter_test', only: 'it outlives its users as long as*' },
  },
  {
    name: 'rate-clock-of-another-boot',
    file: 'native/include/millrace/sync/rate_limiter.hpp',
    text: 'word().store(now() + rate_.capacity(), std::memory_order_relaxed);',
    instead: '',
    breaks:
      'after a reboot a limiter in a file lets nobody through for as long as the machine was up',
    test: { native: 'rate_limiter_test', only: 'a limiter of another boot*' },
  },
  {
    name: 'breaker-late-result-counts',
    file: 'native/include/millrace/sync/breaker_word.hpp',
    text: 'if (view.generation != generation || view.phase == Phase::open) return Step::none;\n      if (view.phase == Phase::closed) {\n        if (view.failures == 0',
    instead:
      'if (view.phase == Phase::open) return Step::none;\n      if (view.phase == Phase::closed) {\n        if (view.failures == 0',
    breaks: 'a call that began before the breaker opened ends the trial of another one',
    test: everyOrderOfTrials,
    short: true,
  },
  {
    name: 'breaker-trial-of-the-dead',
    file: 'native/include/millrace/sync/breaker_word.hpp',
    text: '(view.seat < layout::kMaxParties && !vacant(view.seat))',
    instead: 'view.seat < layout::kMaxParties',
    breaks: 'a breaker whose trial has died stays half open for ever',
    test: everyOrderOfTrials,
  },
  {
    name: 'js-retry-around-an-open-breaker',
    file: 'lib/resilience/layers.ts',
    text: 'if (!isWorth || isBroken(error) || isOpen()) throw error',
    instead: 'if (!isWorth || isBroken(error)) throw error',
    breaks: 'the call that opens a breaker fails with CIRCUIT_OPEN, and not with what has happened',
    test: {
      ava: 'resilience/resilient',
      only: 'a breaker opens after failures, across attempts and calls; nothing is tried around it',
    },
  },
  {
    name: 'js-retry-of-what-has-run',
    file: 'lib/resilience/judgement.ts',
    text: 'mayHaveRun: found.mayHaveRun || hasRun }',
    instead: 'mayHaveRun: found.mayHaveRun }',
    breaks: 'a call is made again although its handler has run',
    test: {
      ava: 'resilience/resilient',
      only: 'a client of a contract is wrapped by what the contract says',
    },
  },
]
