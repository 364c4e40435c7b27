// Work queues.

export const work = [
  {
    name: 'work-wake-dropped-unlooked',
    file: 'native/include/millrace/work/sleepers.hpp',
    text: '        if (!looked_for_.is(kind, bits)) {\n',
    instead: '        if (looked_for_.bits == 1) {\n',
    breaks: "a job that is published during a look in vain is nobody's, if that one gives up",
    test: {
      native: 'work_sleepers_test',
      only: 'work sleepers: what is published during a look in vain*',
    },
    short: true,
  },
  {
    name: 'work-news-not-taken-out',
    file: 'native/include/millrace/work/sleepers.hpp',
    text: '          if (seen.again && !settle(kind, bits)) continue;\n',
    instead: '',
    breaks: 'a job that is published during a look for news wakes nobody',
    test: {
      native: 'work_sleepers_test',
      only: 'work sleepers: what comes during a look for news*',
    },
  },
  {
    name: 'work-look-remembered',
    file: 'native/include/millrace/work/sleepers.hpp',
    text: '    looked_for_ = Look{};  // the looks before this sleep have ended\n',
    instead: '',
    breaks: 'a duty that is given anew within a tick of the clock is dropped for a look before it',
    test: {
      native: 'work_sleepers_test',
      only: 'work sleepers: a look is not remembered*',
    },
  },
  {
    name: 'work-busy-unlooked',
    file: 'native/include/millrace/work/lookouts.hpp',
    text: '    looked_at_ = now;\n    return true;\n',
    instead: '    looked_at_ = now;\n    return false;\n',
    breaks: 'where all are busy nobody looks for the dead',
    test: { native: 'work_lookouts_test' },
  },
  {
    name: 'work-lookout-unreplaced',
    file: 'native/include/millrace/work/lookouts.hpp',
    text: '    if (kept(now) && now - replaced_at_ < kAskMs) return;\n',
    instead: '    if (kept(now)) return;\n',
    breaks: 'a lookout that goes to work leaves the watch to one that may die',
    test: { native: 'work_lookouts_test' },
  },
  {
    name: 'work-newcomer-unlisted',
    file: 'native/include/millrace/work/seats.hpp',
    text: `    control().present[seat / 64].fetch_or(1ULL << seat % 64, std::memory_order_relaxed);
    MILLRACE_CRASH_POINT("seats.seat.listed");
`,
    instead: '',
    breaks: 'a newcomer that dies in its repair keeps what it had locked in the name of its seat',
    test: { native: 'crash/work_newcomer_deaths' },
  },
  {
    name: 'work-dead-letters-unlooked',
    file: 'lib/work/dead-letters.ts',
    text: '      this.#owner.native.look()\n',
    instead: '',
    breaks: 'dead letters are held up by one that was killed with them in hand',
    test: {
      ava: 'work/dead-holder',
      only: 'dead letters: peek is not held up by one that was killed with them in hand',
    },
  },
  {
    name: 'work-begins-with-the-take',
    file: 'lib/work/job-taker.ts',
    text: `    this.native.takeAhead()
    return this.#taken(false)`,
    instead: `    this.native.take()
    return this.#taken(true)`,
    breaks: 'handles that close before a handler has its turn use up the attempts of its job',
    test: { ava: 'work/misuse', only: 'a job that no handler has begun costs no attempt*' },
  },
  {
    name: 'work-pushes-to-a-failed-disk',
    file: 'native/include/millrace/work/work_queue.hpp',
    text: `    if (disk_failed()) return Pushed::disk_failed;
    Pushed done = Pushed::full;`,
    instead: '    Pushed done = Pushed::full;',
    breaks: 'jobs are pushed that can never be confirmed',
    test: { native: 'work_disk_test', only: 'after a failed sync nothing more is pushed*' },
  },
  {
    name: 'work-ends-before-its-result-is-certain',
    file: 'lib/work/leases.ts',
    text: '      await target.synced()\n',
    instead: '',
    breaks: 'a power cut takes both the job and what it became',
    test: { ava: 'work/forward-disk', only: 'a disk that fails: before the end of the job*' },
  },
  {
    name: 'work-keeps-the-promise-of-another',
    file: 'native/include/millrace/work/forward.hpp',
    text: '    if (slot.forward != origin.job || slot.forward_queue != origin.queue) return stage;\n',
    instead: '',
    breaks: 'a queue that was recovered keeps what it promised for a job of before',
    test: { native: 'work_forward_power_test', only: 'a promise under the number of one*' },
  },
  {
    name: 'work-room-made-before-it-can-be-found',
    file: 'native/include/millrace/work/ready.hpp',
    text: `    return word.state == layout::SlotState::ready &&
           (word.token`,
    instead: `    return word.state == layout::SlotState::ready && (word.flags & layout::kReturned) == 0 &&
           (word.token`,
    breaks: 'a job that is being returned is overtaken by those behind it',
    test: { native: 'crash/work_ring_meetings', only: 'meeting: a job that is in the way*' },
  },
  {
    name: 'work-cleared-mask-unrepaired',
    file: 'native/include/millrace/work/job_store.hpp',
    text: `          detail::set_hint(memory_.control().ring_mask[stage], 1U << level_of(word));
`,
    instead: `          if (its) detail::set_hint(memory_.control().ring_mask[stage], 1U << level_of(word));
`,
    breaks: 'who dies when it has cleared the mask of a ring leaves a job that nobody finds',
    test: { native: 'crash/work_store_deaths', only: '*clears the mask of a ring*' },
  },
  {
    name: 'work-two-jobs-of-one-name',
    file: 'native/include/millrace/layout/work.hpp',
    text: '  return ((now - (mask + 1)) & ~mask) | (number & mask);\n',
    instead: '  return ((now - (mask + 1)) & ~mask) | (number & 0);\n',
    breaks:
      'two jobs that have one place within a tick of the clock are one to whoever carries them on',
    test: { native: 'work_job_store_test', only: 'no two jobs that were in one slot*' },
  },
  {
    name: 'path-kept-by-who-is-started',
    file: 'native/include/millrace/os/linux/owned_path.hpp',
    text: '    lock_.unlock_all();\n',
    instead: '',
    breaks:
      'a path that was given up is owned until a child that is being started runs its program',
    test: { native: 'owned_path_test', only: 'a path that was given up is free at once*' },
  },
]
