// A cell: always the newest complete value of one writer, for any number of readers.
//
// Each version goes to the next of several slots. A slot's sequence says which version it holds, and
// whether it is complete; `published` says which version is the newest. The writer never looks at what
// readers do: it is wait-free, and a reader costs it nothing. A reader copies the newest slot and then
// looks whether its sequence is still the same. Only a writer that laps it, by slots - 1 versions during
// one copy, makes it start again, with a newer value.
//
// Sources: Lameter, "Effective synchronization on Linux/NUMA systems" (2005) for the seqlock; Boehm (2012,
// see words.hpp) for its memory order; several slots instead of one, so that a writer that dies in the
// middle leaves the value before it readable, as in the buffer ring of Peterson, "Concurrent reading
// while writing" (1983).
#pragma once

#include "cell_reader.hpp"
#include "cell_writer.hpp"
