// Results of the stages of a pipeline: in the same slot, with room for all.

const header = (name) => `native/include/millrace/work/${name}.hpp`
const deaths = { native: 'crash/work_results_deaths' }
const room = {
  native: 'work_results_room_test',
  only: 'promise: work – no pipeline waits for itself*',
}

export const results = [
  {
    name: 'results-front-is-anybodys',
    file: header('job_results'),
    text: '    if (!is_front(index, next)) return false;\n',
    instead: '',
    breaks: 'results that wait for older jobs fill the room that the oldest job needs',
    test: room,
  },
  {
    name: 'results-parts-ignored',
    file: header('job_results'),
    text: '{0, regions_.pushed().below, part.below}',
    instead: '{0, regions_.pushed().below, ~0U}',
    breaks: 'results of the first stages leave no room for those of the last ones',
    test: room,
  },
  {
    name: 'results-fronts-of-one-stage',
    file: header('regions'),
    text: 'std::bit_width(std::uint32_t{shape.ordered})',
    instead: '(shape.ordered & 1U)',
    breaks: 'the oldest job finds no room in a stage before the ordered one',
    test: room,
  },
  {
    name: 'results-pushed-anywhere',
    file: header('job_pushes'),
    text: '{0, 0, regions_.pushed().below}',
    instead: '{}',
    breaks: 'what is pushed fills the memory, and no result has room',
    test: room,
  },
  {
    name: 'results-dead-letters-in-the-way',
    file: header('job_results'),
    text: '    while (clear_dead(part)) {\n',
    instead: '    while (false) {\n',
    breaks: 'a dead letter blocks the memory of a stage for ever',
    test: { native: 'work_results_test', only: 'work results: dead letters make room*' },
  },
  {
    name: 'results-dead-letters-dropped-early',
    file: header('job_results'),
    text: '    if (!has_only_dead(part)) return false;\n',
    instead: '',
    breaks: 'dead letters are dropped although a job will make room',
    test: { native: 'work_results_test', only: 'work results: dead letters make room*' },
  },
  {
    name: 'results-dead-claim-kept',
    file: header('job_store'),
    text: '    sweep_results(seat);\n',
    instead: '',
    breaks: 'what a dead worker had claimed for a result is lost',
    test: deaths,
    short: true,
  },
  {
    name: 'results-living-claim-swept',
    file: header('job_results'),
    text: 'return word.state == layout::SlotState::moving && word.seat == seat;',
    instead: 'return word.state == layout::SlotState::moving;',
    breaks: "a burial frees what a living worker's result is being written to",
    test: { native: 'crash/work_results_meetings', only: 'promise: work – a burial touches*' },
  },
  {
    name: 'results-new-place-swept',
    file: header('job_results'),
    text: 'if (word.flags == static_cast<std::uint8_t>(layout::MovingTo::become)) {',
    instead: 'if (false) {',
    breaks: 'a burial frees the result, and keeps what it was made from',
    test: deaths,
  },
  {
    name: 'results-place-believed',
    file: header('job_results'),
    text: '    if (place.granule >= count || place.granules > count - place.granule) return Place{};\n',
    instead: '',
    breaks: 'a peer makes others read and write where it likes',
    test: { native: 'work_results_test', only: 'work results: whatever stands in a slot*' },
  },
  {
    name: 'results-lease-unwatched',
    file: header('job_results'),
    text: '      due_.set(held.slot, end);\n',
    instead: '      (void)end;\n',
    breaks: 'a lease whose holder found no room does not end by time',
    test: { native: 'crash/work_results_meetings', only: 'a lease that ends while*' },
  },
  {
    name: 'results-front-untold',
    file: header('job_steps'),
    text: 'if (gate && order_.is_next(*gate, serial_of(index))) stirred_ |= kRoom;',
    instead: '',
    breaks: 'nobody with full hands is told that the job has come for which all wait',
    test: {
      native: 'work_results_room_test',
      only: 'work results: the job for which all others wait*',
    },
  },
]
