/*
 * Room in the log of a bus: is everybody who waits for some woken, although most readers that move wake nobody?
 *
 * Mirrors
 *   native/include/millrace/topics/topic_bus.hpp   read, tell_room_of
 *   native/include/millrace/topics/publishing.hpp  publish, evict: as far as room goes
 *   native/include/millrace/topics/sleepers.hpp    park, tell_room
 *
 * A publisher that finds the log full, and a subscription that is not beyond the oldest message, parks, looks once more, and
 * sleeps. A reader moves its position over several messages at a time. If somebody waits then, it looks where the log begins: who
 * was beyond that before has made no room; who was not has, and owes the wake-up until it is STEP messages beyond, or finds
 * nothing to read.
 *
 * The log itself is topics-log.pml's, and how a reader that finds nothing is woken by a message work-wake.pml's and park.pml's: here
 * it goes on when there is one. Memory is sequentially consistent: a heavy fence of who parks is against the light one of who has
 * moved, as in park.pml, and the position is moved by a compare-and-swap.
 *
 * Nobody has a time-out: a publisher that sleeps while the readers have read all is a deadlock ("invalid end state"). In the
 * product, who waits for room looks every 20 ms, which is also for a reader that reads no more for a while.
 *
 * Bounds: PUBLISHERS publish MESSAGES each; the log has CELLS, or room for the bytes of so many, which may be fewer than STEP; READERS
 * read up to BATCH at a time.
 *
 * run one              -DPUBLISHERS=1 -DREADERS=2 -DMESSAGES=8
 * run two              -DPUBLISHERS=2 -DREADERS=1 -DMESSAGES=4
 * run two-and-two      -DPUBLISHERS=2 -DREADERS=2 -DMESSAGES=3
 * run steps            -DPUBLISHERS=1 -DREADERS=2 -DMESSAGES=8 -DCELLS=4 -DBATCH=1 -DSTEP=3
 * run bytes            -DPUBLISHERS=1 -DREADERS=2 -DMESSAGES=8 -DCELLS=2 -DSTEP=3
 * deep two-and-two     -DPUBLISHERS=2 -DREADERS=2 -DMESSAGES=5
 * broken OWED_FOR_GOOD    invalid end state | who finds nothing to read keeps what it owes | -DPUBLISHERS=1 -DREADERS=1 -DMESSAGES=4 -DCELLS=2 -DSTEP=3
 * broken AT_THE_HEAD      invalid end state | who was at the oldest message is taken for beyond it | -DPUBLISHERS=1 -DREADERS=1 -DMESSAGES=4
 * broken HEAD_BEFORE      invalid end state | a reader looks where the log begins before it moves | -DPUBLISHERS=1 -DREADERS=2 -DMESSAGES=6
 * broken LOOK_BEFORE_PARK invalid end state | who waits for room does not look once more when it is parked | -DPUBLISHERS=1 -DREADERS=1 -DMESSAGES=4
 */

#ifndef PUBLISHERS
#define PUBLISHERS 1
#endif
#ifndef READERS
#define READERS 2
#endif
#ifndef MESSAGES
#define MESSAGES 4
#endif
#ifndef CELLS
#define CELLS 3
#endif
#ifndef BATCH
#define BATCH 2
#endif
#ifndef STEP
#define STEP 2
#endif

byte head, tail;
byte position[READERS];
bool waits[PUBLISHERS], woken[PUBLISHERS];

/* One look for room, entry by entry, and the message: `done`, or not. */
inline publish() {
  done = false;
  do
  :: atomic {
       tail - head < CELLS -> tail++; done = true; break
     }
  :: atomic { else -> oldest = head; entry = 0 }
     do
     :: entry < READERS && position[entry] > oldest -> entry++
     :: else -> break
     od;
     if
     :: entry < READERS -> break
     :: else ->
        /* By compare-and-swap: one of those who try empties it. */
        atomic { if :: head == oldest -> head++ :: else fi }
     fi
  od;
  entry = 0; oldest = 0
}

active [PUBLISHERS] proctype publisher() {
  byte me = _pid, published = 0, oldest, entry;
  bool done;
  do
  :: published == MESSAGES -> break
  :: else ->
     publish();
     if
     :: done -> published++
     :: else ->
        waits[me] = true;
#ifndef LOOK_BEFORE_PARK
        publish();
#endif
        if
        :: done -> published++
        :: else -> woken[me]
        fi;
        atomic { waits[me] = false; woken[me] = false }
     fi
  od
}

inline tell() {
  one = 0;
  do
  :: one < PUBLISHERS -> atomic { if :: waits[one] -> woken[one] = true; waits[one] = false :: else fi; one++ }
  :: else -> break
  od;
  one = 0
}
#define anybody_waits (waits[0] || waits[PUBLISHERS - 1])

active [READERS] proctype reader() {
  byte me = _pid - PUBLISHERS, from, to, first, one;
  bool owes = false;
end:
  do
  :: atomic { tail > position[me] -> from = position[me]; first = head };
     if
     :: to = from + 1
     :: BATCH > 1 && tail > from + 1 -> to = from + 2
     fi;
     position[me] = to;
     if
     :: !anybody_waits -> owes = false
     :: else ->
#ifndef HEAD_BEFORE
        first = head;
#endif
        if
#ifdef AT_THE_HEAD
        :: from >= first && !owes
#else
        :: from > first && !owes
#endif
        :: else ->
           if
           :: to < first + STEP -> owes = true
           :: else -> owes = false; tell()
           fi
        fi
     fi;
     from = 0; to = 0; first = 0
  :: atomic { tail == position[me] && owes ->
#ifndef OWED_FOR_GOOD
       owes = false }; tell()
#else
       owes = false }
#endif
  od
}
