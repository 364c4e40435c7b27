// The door of a segment: who comes, leaves, and buries.

export const door = [
  {
    name: 'enter-without-confirming',
    file: 'native/include/millrace/segment.hpp',
    text: 'if (!segment.place_.confirm(segment.fd_, segment.lock_, os::Access::read_write)) continue;',
    instead: '',
    breaks: 'who opened a segment just before its name was taken away sits alone on it',
    test: {
      native: 'crash/door_meetings',
      only: 'meeting: who opened a name that was given up comes to who has it now',
    },
    short: true,
  },
  {
    name: 'leave-removes-unseen',
    file: 'native/include/millrace/segment.hpp',
    text: '    if (!unlinked()) place_.remove();\n',
    instead: '    place_.remove();\n',
    breaks: 'a side that leaves removes the name of a newer segment',
    test: {
      native: 'segment_test',
      only: 'one that left takes no name away that leads to a newer segment',
    },
  },
  {
    name: 'claim-without-lock',
    file: 'native/include/millrace/segment.hpp',
    text: `                     const char* what) {
    if (!lock_.try_exclusive(byte_of(role))) {`,
    instead: `                     const char* what) {
    if (!lock_.try_exclusive(byte_of(role)) && role > 1000) {`,
    breaks: 'two processes have one role',
    test: { native: 'segment_test', only: 'a taken role is refused with the process that has it' },
  },
  {
    name: 'observe-damage-unjudged',
    file: 'native/include/millrace/upkeep/inspection.hpp',
    text: '    if (!ours || head().major != layout::kMajor || !find_damage().empty()) return nullptr;\n',
    instead: '',
    breaks: 'who looks from outside reads numbers of what is no such channel',
    test: { native: 'observe_test', only: 'observe: what was cut short*' },
  },
]
