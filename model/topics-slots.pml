/*
 * The slots of a bus: is a slot kept for as long as somebody reads it or it is the newest of its subject, and no longer?
 *
 * Mirrors
 *   native/include/millrace/topics/keeping.hpp  try_free, make_last, help_last, drop_retained, pin, unpin, bury
 *   native/include/millrace/topics/log.hpp      evict
 *   native/include/millrace/topics/reading.hpp  step
 *
 * Three things keep a slot: its cell in the log, pins of those who read it in place, and that it is the newest of its
 * subject. Whoever ends one of them does so first and looks at the other two then, so that the last one sees that it is. Who pins
 * looks afterwards whether what made the slot his is still so. Who empties a cell sees to it first that the newest of the
 * subject is not older, so that no publisher that is late names a slot that has gone.
 *
 * Memory is sequentially consistent: pins, words and the newest are written and looked at so.
 *
 * Properties: what is read in place does not change (changed) and is the message of its index (wrong); the newest of the
 * subject is what was committed last (outdated); in the end no slot is kept for nothing (leaked); nobody waits for ever for a
 * slot (invalid end state).
 *
 * Bounds: one cell, one subject, SLOTS; PUBLISHERS publish MESSAGES each; one reader takes in place TAKES times, one (REPLAYS)
 * reads the newest; who finds no slot gives up the newest (DROPS); DEATHS are killed at any step.
 * LATE: the reader has joined behind the back of who makes room, who does not move it then.
 *
 * run reads            -DMESSAGES=3 -DTAKES=1
 * run joined-late      -DMESSAGES=3 -DTAKES=1 -DLATE
 * run two-publish      -DPUBLISHERS=2 -DMESSAGES=1 -DTAKES=1
 * run replays          -DMESSAGES=3 -DREPLAYS=1
 * run both             -DMESSAGES=2 -DTAKES=1 -DREPLAYS=1 -DSLOTS=4
 * run drops            -DMESSAGES=3 -DTAKES=1 -DREPLAYS=1 -DDROPS
 * run dies             -DPUBLISHERS=2 -DMESSAGES=1 -DDEATHS=1
 * run reader-dies      -DMESSAGES=2 -DTAKES=1 -DDEATHS=1
 * run replayer-dies    -DMESSAGES=2 -DREPLAYS=1 -DDEATHS=1
 * deep both            -DPUBLISHERS=2 -DMESSAGES=2 -DTAKES=1 -DREPLAYS=1 -DSLOTS=4
 * deep dies            -DPUBLISHERS=2 -DMESSAGES=1 -DTAKES=1 -DDEATHS=1
 * broken PIN_UNCHECKED      changed  | who pins does not look at the cell again | -DMESSAGES=3 -DTAKES=1 -DLATE
 * broken NEWEST_UNCHECKED   changed  | who pins the newest does not look whether it still is | -DMESSAGES=3 -DREPLAYS=1
 * broken PINS_BEFORE_WORD   changed  | who makes room looks at the pins before the word says so | -DMESSAGES=3 -DTAKES=1
 * broken RELEASED_UNLOOKED  leaked   | who unpins does not look at the word | -DMESSAGES=3 -DTAKES=1
 * broken REPLACED_UNLOOKED  leaked   | who replaces the newest does not look at the old one | -DMESSAGES=3
 * broken NEWEST_UNHELPED    changed  | who empties a cell does not see to the newest of its subject | -DPUBLISHERS=2 -DMESSAGES=2 -DREPLAYS=1
 * broken NEWEST_BY_STORE    outdated | the newest is replaced by a store | -DPUBLISHERS=2 -DMESSAGES=1
 * broken PINS_LEFT          leaked   | nobody unpins for the dead | -DMESSAGES=2 -DTAKES=1 -DDEATHS=1
 * broken NEWEST_LEFT        outdated | nobody names the newest for a publisher that died when it had committed | -DPUBLISHERS=2 -DMESSAGES=1 -DDEATHS=1
 */

#ifndef SLOTS
#define SLOTS 3
#endif
#ifndef PUBLISHERS
#define PUBLISHERS 1
#endif
#ifndef MESSAGES
#define MESSAGES 2
#endif
#ifndef TAKES
#define TAKES 0
#endif
#ifndef REPLAYS
#define REPLAYS 0
#endif
#ifndef DEATHS
#define DEATHS 0
#endif
#define READERS ((TAKES > 0) + (REPLAYS > 0))
#define SEATS (PUBLISHERS + READERS)
#define NONE 255

bool changed, wrong, outdated, leaked;
#define ensure(condition, otherwise) assert((condition) || otherwise)

/* A word: state 2, seat 3 (0: nobody's), token. */
#define FREE 0
#define HELD 1
#define EVICTED 2
#define state(w) ((w) & 3)
#define seat_of(w) (((w) >> 2) & 7)
#define token_of(w) ((w) >> 5)
#define make(s, seat, token) ((s) | (seat) << 2 | (token) << 5)

/* The cell, the newest, a pin: something 1, slot 2, index 4, token. The cell: empty but for the index of the next one. */
#define naming(s, t, token) (1 | (s) << 1 | (t) << 3 | (token) << 7)
#define nothing_at(t) ((t) << 3)
#define names(r) ((r) & 1)
#define slot_in(r) (((r) >> 1) & 3)
#define index_in(r) (((r) >> 3) & 15)
#define token_in(r) ((r) >> 7)

short word[SLOTS];
byte content[SLOTS];
byte tentative[SLOTS];
short cell;
short newest;
short pin[6];
byte position;                   /* of the reader */

/* For the properties alone. */
byte message_at[8];
byte messages, commits;
byte deaths, kill, dead, home;
byte publishing = PUBLISHERS;
bool dropped;

#if DEATHS > 0
#define MORTAL provided (kill == 0 || kill == _pid) /* which is `me`: they are run in this order */
#define DIES unless { kill == me -> atomic { kill = 0; dead = dead | (1 << me); home = home | (1 << me) } }
#define unburied dead
#else
#define MORTAL
#define DIES
#define unburied 0
#endif

/* `ok`: the compare-and-swap of `what` was as expected. */
#define swap(what, expected, next) \
  atomic { if \
  :: what == (expected) -> what = (next); ok = true \
  :: else -> ok = false \
  fi }

/* Frees the slot of `r` if nothing keeps it any more. Whoever has just ended one of the three. */
inline free_if_unused(r) {
  v = word[slot_in(r)];
  if
  :: state(v) == EVICTED && token_of(v) == token_in(r) ->
     ok = !(cell == r) && !(names(newest) && slot_in(newest) == slot_in(r) && token_in(newest) == token_in(r));
     i = 1;
     do
     :: i <= SEATS && ok ->
#ifndef PINS_BEFORE_WORD
        ok = !(names(pin[i]) && slot_in(pin[i]) == slot_in(r) && token_in(pin[i]) == token_in(r));
#endif
        i++
     :: else -> break
     od;
     if
     :: ok -> swap(word[slot_in(r)], v, make(FREE, 0, token_of(v)))
     :: else
     fi
  :: else
  fi;
  atomic { v = 0; i = 0; ok = false }
}

/* Sees to it that the newest is not older than `r`. */
inline make_newest(r) {
  do
  :: l = newest;
     if
     :: names(l) && index_in(l) >= index_in(r) -> break
     :: !names(l) && l != 0 && index_in(l) >= index_in(r) -> break
     :: else ->
#ifdef NEWEST_BY_STORE
        newest = r; ok = true;
#else
        swap(newest, l, r);
#endif
        if
        :: ok ->
#ifndef REPLACED_UNLOOKED
           if
           :: names(l) -> free_if_unused(l)
           :: else
           fi;
#endif
           break
        :: else
        fi
     fi
  od;
  l = 0
}

/* Empties the cell, `c`, whose message the reader misses if it has not come to it. */
inline evict() {
#if TAKES > 0
#ifdef LATE
  if
  :: swap(position, index_in(c), index_in(c) + 1)
  :: true
  fi;
#else
  swap(position, index_in(c), index_in(c) + 1);
#endif
#endif
#ifndef NEWEST_UNHELPED
  make_newest(c);
#endif
#ifdef PINS_BEFORE_WORD
  i = 1;
  ok = true;
  do
  :: i <= SEATS && ok ->
     ok = !(names(pin[i]) && slot_in(pin[i]) == slot_in(c) && token_in(pin[i]) == token_in(c)); i++
  :: else -> break
  od;
  atomic { i = 0; unpinned = ok };
#endif
  do
  :: w = word[slot_in(c)];
     if
     :: token_of(w) == token_in(c) && state(w) == HELD ->
        swap(word[slot_in(c)], w, make(EVICTED, 0, token_of(w)))
     :: else -> break
     fi
  od;
  swap(cell, c, nothing_at(index_in(c) + 1));
  if
#ifdef PINS_BEFORE_WORD
  :: ok && unpinned -> free_if_unused(c)
#else
  :: ok -> free_if_unused(c)
#endif
  :: else
  fi;
  w = 0
}

proctype Publisher(byte me) MORTAL {
  byte n, m, mine, s, i;
  short own, c, w, v, l;
  bool ok, unpinned;
  {
    do
    :: n < MESSAGES ->
       n++;
       mine = NONE;
       do
       :: atomic {
            do
            :: s < SLOTS && state(word[s]) == FREE ->
               messages++;
               m = messages;
               mine = s; own = make(HELD, me, token_of(word[s]) + 1); word[s] = own; break
            :: s < SLOTS && state(word[s]) != FREE -> s++
            :: s == SLOTS -> break
            od;
            s = 0
          }
          if
          :: mine != NONE -> break
          :: else ->
             c = cell;
             if
             :: names(c) -> evict()
             :: else ->
#ifdef DROPS
                l = newest;
                if
                :: names(l) ->
                   swap(newest, l, nothing_at(index_in(l)));
                   if
                   :: ok -> dropped = true; free_if_unused(l)
                   :: else
                   fi
                :: else
                fi;
                l = 0;
#endif
                atomic {
                  s = 0;
                  (state(word[0]) == FREE || state(word[1]) == FREE || state(word[SLOTS - 1]) == FREE ||
                   names(cell))
                }
             fi;
             c = 0
          fi
       od;
       content[mine] = m;
       do
       :: c = cell;
          if
          :: names(c) -> evict()
          :: else ->
             tentative[mine] = index_in(c);
             atomic {
               ok = false;
               if
               :: cell == c ->
                  cell = naming(mine, index_in(c), token_of(own));
                  message_at[index_in(c)] = m;
                  commits++;
                  ok = true
               :: else
               fi
             }
             if
             :: ok -> break
             :: else
             fi
          fi
       od;
       c = naming(mine, index_in(c), token_of(own));
       make_newest(c);
       atomic { c = 0; own = 0; mine = 0; m = 0; ok = false }
    :: else -> break
    od;
    atomic { publishing--; home = home | (1 << me) }
  } DIES
}

inline unpin() {
  pin[me] = 0;
#ifndef RELEASED_UNLOOKED
  free_if_unused(c)
#endif
}

inline look_at_it() {
  ensure(content[slot_in(c)] == message_at[index_in(c)], wrong);
  skip;
  ensure(content[slot_in(c)] == message_at[index_in(c)], changed)
}

proctype Reader(byte me) MORTAL {
  byte takes, i;
  short c, v;
  bool ok, last;
  {
    do
    :: takes < TAKES ->
       last = publishing == 0 && unburied == 0;
       c = cell;
       if
       :: names(c) && index_in(c) == position ->
          pin[me] = naming(slot_in(c), index_in(c), token_in(c));
#ifdef PIN_UNCHECKED
          ok = true;
#else
          ok = cell == c;
#endif
          if
          :: ok -> swap(position, index_in(c), index_in(c) + 1)
          :: else
          fi;
          if
          :: ok -> takes++; look_at_it()
          :: else
          fi;
          unpin()
       :: index_in(c) > position -> swap(position, position, position + 1)
       :: else ->
          if
          :: last -> break
          :: else -> cell != c || (publishing == 0 && unburied == 0)
          fi
       fi;
       atomic { c = 0; ok = false; last = false }
    :: else -> break
    od;
    atomic { home = home | (1 << me); last = false; c = 0 }
  } DIES
}

proctype Replayer(byte me) MORTAL {
  byte takes, i;
  short c, v;
  bool ok;
  {
    do
    :: takes < REPLAYS ->
       c = newest;
       if
       :: names(c) ->
          pin[me] = c;
#ifdef NEWEST_UNCHECKED
          ok = true;
#else
          ok = newest == c;
#endif
          if
          :: ok -> takes++; look_at_it()
          :: else
          fi;
          unpin()
       :: else ->
          if
          :: publishing == 0 && unburied == 0 -> break
          :: else -> newest != c || (publishing == 0 && unburied == 0)
          fi
       fi;
       atomic { c = 0; ok = false }
    :: else -> break
    od;
    atomic { home = home | (1 << me); c = 0 }
  } DIES
}

proctype Undertaker() {
  byte s, seat, i;
  short w, c, v, l;
  bool ok;
end:
  do
  :: dead != 0 ->
     seat = 1;
     do
     :: !(dead & (1 << seat)) -> seat++
     :: else -> break
     od;
#ifndef PINS_LEFT
     pin[seat] = 0;
#endif
     s = 0;
     do
     :: s < SLOTS ->
        w = word[s];
        c = naming(s, tentative[s], token_of(w));
        if
        :: state(w) == HELD && seat_of(w) == seat ->
           if
           :: cell == c -> swap(word[s], w, make(HELD, 0, token_of(w)))
           :: else -> swap(word[s], w, make(FREE, 0, token_of(w)))
           fi
        :: state(w) == EVICTED && cell != c -> free_if_unused(c); ok = true
        :: else -> ok = true
        fi;
        if
        :: ok -> s++
        :: else
        fi
     :: else -> break
     od;
#ifndef NEWEST_LEFT
     c = cell;
     if
     :: names(c) -> make_newest(c)
     :: else
     fi;
#endif
     if
     :: seat <= PUBLISHERS -> publishing--
     :: else
     fi;
     atomic { dead = dead & ~(1 << seat); seat = 0; s = 0; c = 0; w = 0; ok = false }
  od
}

proctype Killer() {
  byte who;
end:
  do
  :: atomic { deaths < DEATHS && publishing > 0 && kill == 0 ->
       select (who : 1 .. SEATS);
       if
       :: !(home & (1 << who)) -> deaths++; kill = who
       :: else
       fi;
       who = 0
     }
  od
}

init {
  byte i;
  atomic {
    cell = nothing_at(0);
    for (i : 1 .. PUBLISHERS) { run Publisher(i) }
    if
    :: TAKES > 0 -> run Reader(PUBLISHERS + 1)
    :: else
    fi;
    if
    :: REPLAYS > 0 -> run Replayer(SEATS)
    :: else
    fi;
    if
    :: DEATHS > 0 -> run Undertaker(); run Killer()
    :: else
    fi
  }
  (home | 1) == (1 << (SEATS + 1)) - 1 && publishing == 0 && unburied == 0;
  d_step {
    ensure(commits == 0 || dropped || (names(newest) && index_in(newest) == commits - 1), outdated);
    ensure(!names(newest) || (content[slot_in(newest)] == message_at[index_in(newest)] &&
                              state(word[slot_in(newest)]) != FREE), outdated);
    i = 0;
    do
    :: i < SLOTS ->
       ensure(state(word[i]) == FREE || cell == naming(i, tentative[i], token_of(word[i])) ||
              (names(newest) && slot_in(newest) == i && token_in(newest) == token_of(word[i])), leaked);
       i++
    :: else -> break
    od
  }
}
