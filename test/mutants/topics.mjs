// Topics: the log, what keeps a slot, and where subscriptions are.

const header = (name) => `native/include/millrace/topics/${name}.hpp`
const life = { native: 'topics_life_test' }
const meetings = { native: 'crash/topics_meetings' }
const deaths = { native: 'crash/topics_deaths' }

export const topics = [
  {
    name: 'topics-lookout-uncalled',
    file: header('topic_bus'),
    text: '    if (!lookouts_.kept()) [[unlikely]]\n      call_lookout(subject, time_ns);\n',
    instead: '',
    breaks: 'a first message after a pause, whose publisher is killed, waits for two seconds',
    test: { ...meetings, only: 'promise: topics – who sleeps learns soon of the first message*' },
  },
  {
    name: 'topics-evict-unlooked',
    file: header('publishing'),
    text: '    if (!entries_->may_evict(index)) return false;\n',
    instead: '',
    breaks: 'what a subscriber waits for is evicted before it has read that',
    test: { ...life, only: 'topics: who waits keeps its messages*' },
    short: true,
  },
  {
    name: 'topics-missed-uncounted',
    file: header('entries'),
    text: '            ++lost;\n',
    instead: '',
    breaks: 'messages are overwritten that nobody counts',
    test: { ...life, only: 'topics: who lets itself be overwritten*' },
  },
  {
    name: 'topics-losses-believed',
    file: header('entries'),
    text: '      if (some && losses != nullptr && losses->to == goal && from <= index &&\n          (losses->counted[entry / 64] >> entry % 64 & 1U) != 0 && losses->seen[entry] == bits) {\n',
    instead:
      '      if (some && losses != nullptr && losses->to == goal &&\n          (losses->counted[entry / 64] >> entry % 64 & 1U) != 0) {\n',
    breaks: 'who reads while losses are counted is told that it has missed what it has read',
    test: { ...meetings, only: 'promise: topics – what was counted for all*' },
  },
  {
    name: 'topics-uninterested-unmoved',
    file: header('entries'),
    text: '      std::uint64_t to = goal;\n',
    instead: '      std::uint64_t to = some ? goal : from;\n',
    breaks: 'a subscriber that is not interested holds up everybody',
    test: { ...life, only: 'topics: a subscriber that is not interested*' },
  },
  {
    name: 'topics-copy-unlooked',
    file: header('reading'),
    text: '        if (its.position.compare_exchange_strong(bits, pack(position), std::memory_order_seq_cst,\n                                                 std::memory_order_relaxed)) {\n',
    instead:
      '        its.position.store(pack(position), std::memory_order_seq_cst);\n        if (bits != pack(position)) {\n',
    breaks: 'a reader delivers what was overwritten, and counted, while it copied',
    test: { ...meetings, only: 'promise: topics – who is overwritten while it copies*' },
  },
  {
    name: 'topics-pin-unlooked',
    file: header('reading'),
    text: '      if (log_->cell(walk.at, std::memory_order_seq_cst) != cell) {\n',
    instead: '      if (false) {\n',
    breaks: 'a pin is left on a message that went before it was pinned',
    test: { ...meetings, only: 'promise: topics – what goes under a subscription*' },
  },
  {
    name: 'topics-copy-believed',
    file: header('reading'),
    text: '    if (log_->cell(walk.at, std::memory_order_relaxed) == cell) return true;\n',
    instead: '    if (cell != 0) return true;\n',
    breaks: 'a reader takes another message for one that went under it as it joined',
    test: { ...meetings, only: 'promise: topics – what goes under a subscription*' },
  },
  {
    name: 'topics-last-unhelped',
    file: header('log'),
    text: '        keeping_->help_last(slot, index, found);\n',
    instead: '',
    breaks: 'a late publisher names a slot that was freed as the last message of its subject',
    test: meetings,
  },
  {
    name: 'topics-pins-unlooked',
    file: header('keeping'),
    text: '    if (is_pinned(slot, word.token)) return false;\n',
    instead: '',
    breaks: 'what is read in place is overwritten',
    test: { ...life, only: 'topics: messages read in place*' },
  },
  {
    name: 'topics-floor-raised-blindly',
    file: header('entries'),
    text: 'layout::changes_of_floor(found) + 1),',
    instead: 'layout::changes_of_floor(found)),',
    breaks: 'who has looked before a subscription joined evicts what that was to get',
    test: { ...meetings, only: 'promise: topics – who joins with what is there*' },
  },
  {
    name: 'topics-begun-unburied',
    file: header('keeping'),
    text: '    return cancel(slot, bits, 0, 0);\n',
    instead: '    return false;\n',
    breaks: 'a slot is lost with each publisher that dies in a message',
    test: { ...deaths, only: '*a user of topics dies anywhere*' },
  },
  {
    name: 'topics-full-depth-looked-at',
    file: header('interest'),
    text: 'options.depth < log_->capacity() ? options.depth : 0',
    instead: 'options.depth',
    breaks:
      'each publish looks at every subscription, though none can lag behind by more than the log',
    test: { ...life, only: 'topics: a depth of the whole log is none*' },
  },
  {
    name: 'topics-room-untold',
    file: header('topic_bus'),
    text: 'if (done.from > head && rooms_owed_[entry] == 0) return;',
    instead: 'if (done.from >= head && rooms_owed_[entry] == 0) return;',
    breaks: 'who waits for room is not woken by whoever has made some',
    test: { native: 'topics_waiting_test' },
  },
  {
    name: 'topics-room-owed-for-good',
    file: header('topic_bus'),
    text: '    if (done.moved || rooms_owed_[entry] != 0) tell_room_of(entry, done);\n',
    instead: '    if (done.count != 0) tell_room_of(entry, done);\n',
    breaks:
      'room that a subscriber has made and told nobody of is told of no more once it finds nothing',
    test: {
      native: 'topics_waiting_test',
      only: 'topics: who waits for room is woken by whoever*',
    },
  },
  {
    name: 'topics-room-of-all-told',
    file: header('topic_bus'),
    text: '      if (done.from > head && rooms_owed_[entry] == 0) return;\n',
    instead: '',
    breaks: 'who waits for room is woken by each reader, also those that made none',
    test: { native: 'topics_waiting_test', only: 'topics: who waits for room is woken when*' },
  },
  {
    name: 'topics-room-of-depth-untold',
    file: header('topic_bus'),
    text: '    if (!shallow && done.moved',
    instead: '    if (done.moved',
    breaks: 'who waits for room behind a subscription of limited depth is not woken',
    test: { native: 'topics_waiting_test', only: 'topics: one of limited depth*' },
  },
  {
    name: 'observe-hint-believed',
    file: 'native/include/millrace/observe/topics.hpp',
    text: '          ++at;\n',
    instead: '          break;\n',
    breaks: 'who looks from outside takes the hint of where the log ends for its end',
    test: { native: 'observe_test', only: 'observe: topics, what is in the log*' },
  },
  {
    name: 'topics-mark-of-another-message',
    file: 'native/include/millrace/topics/topic_meter.hpp',
    text: '    const bool its = measured >> kTokenShift == layout::token_of_topic_cell(cell);\n',
    instead: '    const bool its = measured != 0 && cell != 0;\n',
    breaks:
      'a mark that an earlier message has left in a slot is counted for those that come after it',
    test: {
      native: 'topics_times_test',
      only: 'times of topics: nothing is counted unless*',
    },
  },
]
