/*
 * The hints of a work queue: is every job that is ready found by whoever looks?
 *
 * Mirrors, step by step,
 *   native/include/millrace/store/hints.hpp      set_hint, clear_hint
 *   native/include/millrace/work/slots.hpp      FreeSlots::claim, try_slot, try_group, freed
 *   native/include/millrace/work/ready.hpp      ReadyLists::add, make_room, add_returned, hinted, take, any, first_of,
 *                                               take_level, oldest_returned, clear_returned, any_returned
 *   native/include/millrace/work/job_store.hpp  publish, make_own, complete, release, repair_slot, end_lease
 *
 * The word of a slot is the truth. A ready job is led to by the cell of a ring and a bit of its level above it, or, if
 * it was given back, by a bit of its slot and a bit of its level above that; a free slot by a bit of its group. Whoever
 * is killed may be so between any two of these; whoever is stopped stays where it is while the others go on. When
 * all have gone home and the dead are buried, a last worker takes what it finds: nothing that was confirmed may be left.
 *
 * Memory is sequentially consistent: the words that return or free something, the cells, the bits and the looks
 * after clearing are so (hints.hpp says why that is needed; LOOK_OVERTAKES is what happens without). What a pusher's
 * release store of `ready` publishes is acquired with the cell, as in ring.pml.
 *
 * "Sixteen looks at an empty ring before its bit is cleared" is any number here. RingEnds may lag: with LAG they are
 * stored or not; without it they are, which leaves them behind when somebody slow does it. STALE: hints are set for nothing.
 * PREPARED: there is a job in each slot from the beginning. Properties: a job has one holder at most (twice), is not seen after its end (after_end), is taken for the
 * first time after all of its level that were confirmed before its push began (out_of_order); what was confirmed is
 * done in the end (lost), all slots are free and pushers can find one (unfindable).
 *
 * Bounds: PUSHERS push PUSHES jobs each into SLOTS slots and a ring of 2 * SLOTS cells for each of LEVELS; TAKERS take
 * TAKES times (OTHERS, all but the first); RETURNS of the jobs are given back; DEATHS are killed at any step, RESTARTS undertakers are, too.
 *
 * run two-take         -DPUSHES=2 -DRETURNS=1
 * run worker-dies      -DPUSHES=1 -DTAKES=1 -DRETURNS=1 -DDEATHS=1
 * run pusher-dies      -DPUSHERS=2 -DPUSHES=1 -DTAKERS=1 -DTAKES=1 -DDEATHS=1
 * run clearer-dies     -DSLOTS=1 -DPUSHES=2 -DTAKERS=1 -DDEATHS=1
 * run ring-turns       -DSLOTS=1 -DPUSHES=3 -DTAKES=2
 * run two-levels       -DLEVELS=2 -DPUSHES=2 -DRETURNS=1 -DTAKES=1
 * deep two-take        -DPUSHES=3 -DRETURNS=1
 * deep worker-dies     -DPUSHES=1 -DRETURNS=1 -DDEATHS=1 -DRESTARTS=1
 * deep pusher-dies     -DPUSHERS=2 -DPUSHES=2 -DTAKERS=1 -DTAKES=1 -DDEATHS=1
 * deep ring-turns      -DSLOTS=1 -DPUSHES=4 -DTAKES=2 -DLAG
 * deep two-levels      -DLEVELS=2 -DPUSHES=2 -DRETURNS=1
 * broken MASK_NOT_RESTORED     lost         | who restores a bit of a returned job leaves the one above it | -DSTALE -DPREPARED -DLEVELS=2 -DPUSHERS=0 -DTAKERS=3 -DTAKES=2 -DOTHERS=1 -DRETURNS=2
 * broken NO_LOOK_AT_BIT        lost         | the bit of a returned job is cleared without another look | -DPUSHES=1 -DRETURNS=2
 * broken NO_LOOK_AT_RING       lost         | the bit of a ring is cleared without another look | -DPUSHES=2
 * broken NO_LOOK_AT_GROUP      unfindable   | the bit of free slots is cleared without another look | -DSLOTS=1 -DPUSHES=2 -DTAKERS=1
 * broken LOOK_OVERTAKES        lost         | no full fence between clearing and looking: the look comes first | -DPUSHES=1 -DRETURNS=2
 * broken PLAIN_CLEAR           lost         | the mask of levels is cleared by a load and a store | -DLEVELS=2 -DPUSHES=2 -DTAKES=1
 * broken HINT_BEFORE_LEASE     lost         | the cell is cleared before the word is leased | -DPUSHES=1 -DTAKES=1 -DDEATHS=1
 * broken CELL_BY_STORE         lost         | the cell is cleared by a store: it wipes out the hint of the next turn | -DSLOTS=1 -DPUSHES=3
 * broken MASK_BEFORE_BIT       lost         | who returns sets the level before the slot | -DPUSHES=1 -DRETURNS=1
 * broken BIT_BEFORE_WORD       lost         | who returns sets the hints before the word says so | -DPUSHES=1 -DRETURNS=1
 * broken MASK_BEFORE_CELL      lost         | who pushes sets the level before the cell | -DPUSHES=1 -DTAKERS=1
 * broken RETURNED_UNREPAIRED   lost         | nobody puts the hints of a returned job right for the dead | -DPUSHES=1 -DTAKES=1 -DRETURNS=1 -DDEATHS=1
 * broken MASK_UNREPAIRED       lost         | nobody sets the level for a pusher that died after the cell | -DPUSHES=1 -DTAKERS=1 -DTAKES=1 -DDEATHS=1
 * broken CLEARED_UNREPAIRED   lost         | nobody sets the level for a taker that died when it had cleared it | -DSLOTS=1 -DPUSHES=2 -DTAKERS=1 -DDEATHS=1
 * broken FREE_UNREPAIRED       unfindable   | nobody sets the bit of free slots for the dead | -DSLOTS=1 -DPUSHERS=2 -DPUSHES=1 -DTAKERS=1 -DTAKES=1 -DDEATHS=1
 * broken UNHINTED_RETURNED     out_of_order | a job without a hint is returned, and not undone | -DPUSHERS=2 -DPUSHES=1 -DTAKERS=1 -DTAKES=1 -DDEATHS=1
 * broken NO_TOKEN              out_of_order | a hint does not say of which job of its slot it is | -DPUSHES=3 -DTAKES=1 -DDEATHS=1
 * broken LEASED_UNCOMPARED    twice        | the word is leased without a compare | -DPUSHES=1
 */

#ifndef SLOTS
#define SLOTS 2
#endif
#ifndef LEVELS
#define LEVELS 1
#endif
#ifndef PUSHERS
#define PUSHERS 1
#endif
#ifndef PUSHES
#define PUSHES 2
#endif
#ifndef TAKERS
#define TAKERS 2
#endif
#ifndef TAKES
#define TAKES 2
#endif
#ifndef OTHERS
#define OTHERS TAKES             /* of the takers but the first */
#endif
#ifndef RETURNS
#define RETURNS 0
#endif
#ifndef DEATHS
#define DEATHS 0
#endif
#ifndef RESTARTS
#define RESTARTS 0
#endif
#define CAPACITY (2 * SLOTS)
#define NONE 255
#define LAST_SEAT (PUSHERS + TAKERS + 1)

bool lost, twice, after_end, out_of_order, unfindable;
#define ensure(condition, otherwise) assert((condition) || otherwise)

/* A word: state 2, returned 1, level 1, seat 4 (from 1 on), token. */
#define FREE 0
#define WRITING 1
#define READY 2
#define LEASED 3
#define state(w) ((w) & 3)
#define is_back(w) (((w) >> 2) & 1)
#define level_of(w) (((w) >> 3) & 1)
#define seat_of(w) (((w) >> 4) & 15)
#define token_of(w) ((w) >> 8)
#define make(s, back, l, seat, token) ((s) | (back) << 2 | (l) << 3 | (seat) << 4 | (token) << 8)
#define is_returned(w) (state(w) == READY && is_back(w))

/* A cell: full 1, turn 3, slot 2, token; or empty: 0 1, turn 3. */
#define full_cell(turn, s, token) (1 | (turn) << 1 | (s) << 4 | (token) << 6)
#define empty_cell(turn) ((turn) << 1)
#define is_full(c) ((c) & 1)
#define turn_of(c) (((c) >> 1) & 7)
#define slot_of(c) (((c) >> 4) & 3)
#ifdef NO_TOKEN
#define same_token(c, w) true
#else
#define same_token(c, w) (((c) >> 6) == token_of(w))
#endif
#define is_job(c, w) (state(w) == READY && same_token(c, w))

short word[SLOTS];
byte position[SLOTS];
short cell[LEVELS * CAPACITY];
byte head[LEVELS], tail[LEVELS];
byte ring_mask;                 /* a bit for each level */
/* Hints may be set for nothing: with STALE they are so from the beginning. */
#ifdef STALE
byte returned_mask = (1 << LEVELS) - 1;
bool returned[SLOTS] = true;
#else
byte returned_mask;
bool returned[SLOTS];
#endif
bool free_bit = true;

/* For the properties alone. */
byte job[SLOTS];                /* which one is in that slot */
byte holder[SLOTS];
byte jobs;
short confirmed, taken, done;   /* a bit for each job */
short before[1 + SLOTS + PUSHERS * PUSHES];
short of_level[LEVELS];
byte returns, deaths, restarts;
byte kill;                      /* who dies next */
byte dead, home;                /* the unburied, and who has ended: a bit for each seat */
byte at_work = PUSHERS + TAKERS;

/* Who is to die does so before anybody else goes on: that it could do more steps first is another run. */
#if DEATHS > 0
#define MORTAL provided (kill == 0 || kill == _pid) /* which is `me`: they are run in this order */
#define DIES unless { kill == me -> atomic { kill = 0; dead = dead | (1 << me); home = home | (1 << me) } }
#else
#define MORTAL
#define DIES
#endif

/* One compare-and-swap of a word; `ok` tells whether it was as expected. */
#define swapped(s, expected, next) word[s] == (expected) -> word[s] = (next); ok = true

/* FreeSlots::claim: `got` is the slot, or NONE. */
inline claim() {
  got = NONE;
  if
  :: !free_bit
  :: else ->
     s = 0;
     do
     :: atomic { s < SLOTS && got == NONE ->
        w = word[s];
        if
        :: state(w) == FREE ->
           w = make(WRITING, 0, lvl, me, token_of(w) + 1);
           word[s] = w; got = s; job[s] = n
        :: else
        fi;
        s++ }
     :: else -> break
     od;
     if
     :: got == NONE ->
        free_bit = false;
#ifndef NO_LOOK_AT_GROUP
        s = 0;
        do
        :: s < SLOTS && state(word[s]) != FREE -> s++
        :: else -> break
        od;
        if
        :: s < SLOTS -> free_bit = true
        :: else
        fi
#endif
     :: else
     fi
  fi;
  s = 0
}

/* ReadyLists::make_room: the cell `c` of an earlier turn is in the way. */
inline make_room() {
  v = word[slot_of(c)];
  ok = true;
  if
  :: is_job(c, v) ->
     atomic {
       ok = false;
       if
       :: word[slot_of(c)] == v -> word[slot_of(c)] = v | 4; ok = true   /* or it is being returned */
       :: else
       fi
     }
     if
     :: ok ->
        returned[slot_of(c)] = true;
        returned_mask = returned_mask | (1 << lvl)
     :: else
     fi
  :: else
  fi;
  if
  :: ok -> atomic {
       if
       :: cell[lvl * CAPACITY + at % CAPACITY] == c -> cell[lvl * CAPACITY + at % CAPACITY] = empty_cell(turn_of(c) + 1)
       :: else
       fi
     }
  :: else
  fi
}

inline set_end(end, value) {
#ifdef LAG
  if
  :: end = value
  :: true
  fi
#else
  end = value
#endif
}

/* ReadyLists::add, of the job in `got`, whose word is `w`. */
inline add() {
#ifdef MASK_BEFORE_CELL
  if
  :: !(ring_mask & (1 << lvl)) -> ring_mask = ring_mask | (1 << lvl)
  :: else
  fi;
#endif
  at = tail[lvl];
  do
  :: atomic { c = cell[lvl * CAPACITY + at % CAPACITY];
       if
       :: c == empty_cell(at / CAPACITY) -> position[got] = at
       :: else
       fi
     }
     if
     :: c == empty_cell(at / CAPACITY) ->
        atomic {
          ok = false;
          if
          :: cell[lvl * CAPACITY + at % CAPACITY] == c ->
             cell[lvl * CAPACITY + at % CAPACITY] = full_cell(at / CAPACITY, got, token_of(w));
             ok = true
          :: else
          fi
        }
        if
        :: ok -> break
        :: else
        fi
     :: c != empty_cell(at / CAPACITY) && turn_of(c) >= at / CAPACITY -> at++
     :: c != empty_cell(at / CAPACITY) && turn_of(c) < at / CAPACITY -> assert(is_full(c)); make_room()
     fi
  od;
  set_end(tail[lvl], at + 1);
#ifndef MASK_BEFORE_CELL
  if
  :: !(ring_mask & (1 << lvl)) -> ring_mask = ring_mask | (1 << lvl)
  :: else
  fi
#endif
}

/* ReadyLists::add_returned */
inline add_returned(slot, l) {
#ifdef MASK_BEFORE_BIT
  returned_mask = returned_mask | (1 << (l));
  returned[slot] = true
#else
  returned[slot] = true;
  returned_mask = returned_mask | (1 << (l))
#endif
}

proctype Pusher(byte me) MORTAL {
  byte n, lvl, got, s, at, p;
  short w, v, c;
  bool ok;
  {
    do
    :: p < PUSHES ->
       p++;
       atomic {
         jobs++;
         n = jobs;
         before[n] = confirmed;
         if
         :: lvl = 0
         :: LEVELS > 1 -> lvl = LEVELS - 1
         fi;
         of_level[lvl] = of_level[lvl] | (1 << n)
       }
       claim();
       if
       :: got != NONE ->
          atomic { w = make(READY, 0, lvl, me, token_of(w)); word[got] = w }
          add();
          confirmed = confirmed | (1 << n)
       :: else   /* full */
       fi;
       atomic { n = 0; lvl = 0; got = 0; at = 0; w = 0; v = 0; c = 0; ok = false }
    :: p == PUSHES -> break
    od;
    atomic { at_work--; home = home | (1 << me) }
  } DIES
}

/* ReadyLists::first_of: `first` is its position, or NONE; `c` its cell. */
inline first_of(l) {
  first = NONE;
  at = head[l];
  do
  :: atomic {
       c = cell[l * CAPACITY + at % CAPACITY];
       if
       :: c == empty_cell(at / CAPACITY) -> at = 0; break
       :: is_full(c) && turn_of(c) == at / CAPACITY -> first = at; at = 0; break
       :: turn_of(c) > at / CAPACITY -> at++
       :: turn_of(c) < at / CAPACITY -> at = 0; break
       fi
     }
  od
}

/* JobStore::make_own, of the job in slot `s`, whose word is `w`. */
inline make_own() {
  atomic {
    ok = false;
    if
#ifdef LEASED_UNCOMPARED
    :: true ->
#else
    :: word[s] == w ->
#endif
       w = make(LEASED, 0, level_of(w), me, token_of(w) + 1);
       word[s] = w;
       ok = true;
       got = s;
       n = job[s];
       ensure(holder[s] == 0, twice);
       ensure(!(done & (1 << n)), after_end);
       ensure((taken & (1 << n)) || !(before[n] & of_level[level_of(w)] & ~taken), out_of_order);
       taken = taken | (1 << n);
       holder[s] = me;
       n = 0
    :: else
    fi
  }
}

/* ReadyLists::clear_returned */
inline clear_returned(slot) {
#ifdef LOOK_OVERTAKES
  v = word[slot];
  returned[slot] = false;
#else
  returned[slot] = false;
  v = word[slot];
#endif
#ifndef NO_LOOK_AT_BIT
  if
  :: is_returned(v) ->
     returned[slot] = true;
#ifndef MASK_NOT_RESTORED
     v = word[slot];
     returned_mask = returned_mask | (1 << level_of(v))
#endif
  :: else
  fi;
#endif
  v = 0
}

/* ReadyLists::oldest_returned, of `lvl`: `oldest` is its slot, or NONE. */
inline oldest_returned() {
  oldest = NONE;
  s = 0;
  do
  :: atomic { s < SLOTS ->
     ok = false;
     if
     :: returned[s] ->
        w = word[s];
        if
        :: !is_returned(w) -> ok = true
        :: is_returned(w) && level_of(w) == lvl && (oldest == NONE || position[s] < its_position) ->
           oldest = s; its_word = w; its_position = position[s]
        :: else
        fi;
        w = 0
     :: else
     fi }
     if
     :: ok -> clear_returned(s); ok = false
     :: else
     fi;
     s++
  :: atomic { else -> s = 0; break }
  od;
  if
  :: oldest == NONE ->
     returned_mask = returned_mask & ~(1 << lvl);
     do
     :: s < SLOTS && returned[s] && is_returned(word[s]) && level_of(word[s]) == lvl -> break
     :: s < SLOTS && !(returned[s] && is_returned(word[s]) && level_of(word[s]) == lvl) -> s++
     :: s == SLOTS -> break
     od;
     if
     :: s < SLOTS -> returned_mask = returned_mask | (1 << lvl)
     :: else
     fi;
     s = 0
  :: else
  fi
}

inline clear_cell() {
  atomic {
    if
#ifdef CELL_BY_STORE
    :: true ->
#else
    :: cell[lvl * CAPACITY + first % CAPACITY] == c ->
#endif
       cell[lvl * CAPACITY + first % CAPACITY] = empty_cell(first / CAPACITY + 1)
    :: else
    fi
  }
}

/* ReadyLists::take_level, of `lvl` */
inline take_level() {
  do
  :: first_of(lvl);
     atomic {
       ok = true;
       if
       :: first != NONE -> first_word = word[slot_of(c)]; ok = is_job(c, first_word)
       :: else
       fi
     }
     if
     :: !ok -> clear_cell()
     :: else ->
        oldest = NONE;
        if
        :: returned_mask & (1 << lvl) -> oldest_returned()
        :: else
        fi;
        if
        :: oldest != NONE && !(first != NONE && first < its_position) ->
           s = oldest; w = its_word;
           make_own();
           if
           :: ok -> clear_returned(s); break
           :: else
           fi
        :: else ->
           if
           :: first == NONE ->
              if
              :: true ->
#ifdef PLAIN_CLEAR
                 s = ring_mask;
                 ring_mask = s & ~(1 << lvl);
                 s = 0;
#else
                 ring_mask = ring_mask & ~(1 << lvl);
#endif
#ifndef NO_LOOK_AT_RING
                 first_of(lvl);
                 if
                 :: first != NONE -> ring_mask = ring_mask | (1 << lvl)
                 :: else
                 fi
#endif
              :: true
              fi;
              break
           :: else ->
              s = slot_of(c); w = first_word;
#ifdef HINT_BEFORE_LEASE
              clear_cell();
              make_own();
              if
              :: ok -> break
              :: else
              fi
#else
              make_own();
              if
              :: ok ->
                 clear_cell();
                 set_end(head[lvl], first + 1);
                 break
              :: else
              fi
#endif
           fi
        fi
     fi
  od;
  atomic { oldest = 0; its_word = 0; its_position = 0; first = 0; first_word = 0; c = 0; s = 0; w = 0; ok = false }
}

/* ReadyLists::take: `got` is the slot, or NONE. */
inline take() {
  got = NONE;
  levels = ring_mask;
  levels = levels | returned_mask;
  lvl = LEVELS;
  do
  :: lvl > 0 && got == NONE ->
     lvl--;
     if
     :: levels & (1 << lvl) -> take_level()
     :: else
     fi
  :: else -> break
  od;
  lvl = 0; levels = 0
}

/* ReadyLists::any: whoever finds nothing asks before it goes to sleep. */
inline look_again() {
  more = returned_mask != 0;
  levels = ring_mask;
  lvl = LEVELS;
  do
  :: lvl > 0 && !more ->
     lvl--;
     if
     :: levels & (1 << lvl) -> first_of(lvl); more = first != NONE
     :: else
     fi
  :: else -> break
  od;
  lvl = 0; levels = 0; first = 0; c = 0
}

inline settle() {
  s = got;
  w = word[s];   /* the word of the lease */
  if
  :: true ->     /* complete */
     atomic {
       ensure(holder[s] == me, twice);
       assert(word[s] == w && state(w) == LEASED);
       word[s] = make(FREE, 0, 0, 0, token_of(w));
       done = done | (1 << job[s]);
       holder[s] = 0;
       job[s] = 0
     }
     if
     :: !free_bit -> free_bit = true
     :: else
     fi
  :: returns < RETURNS && me != LAST_SEAT ->
#ifdef BIT_BEFORE_WORD
     add_returned(s, level_of(w));
#endif
     atomic {
       returns++;
       ensure(holder[s] == me, twice);
       holder[s] = 0;
       word[s] = make(READY, 1, level_of(w), me, token_of(w))
     }
#ifndef BIT_BEFORE_WORD
     add_returned(s, level_of(w))
#endif
  fi;
  s = 0; w = 0
}

proctype Taker(byte me; byte takes) MORTAL {
  byte n, lvl, got, s, at, first, oldest, its_position, levels;
  short w, v, c, its_word, first_word;
  bool ok, more;
  {
    do
    :: takes > 0 ->
       take();
       if
       :: got != NONE -> settle()
       :: else
       fi;
       if
       :: me != LAST_SEAT -> takes--
       :: me == LAST_SEAT && got == NONE ->
          look_again();
          if
          :: more -> more = false
          :: else -> takes = 0
          fi
       :: else
       fi;
       got = 0
    :: else -> break
    od;
    if
    :: me != LAST_SEAT -> atomic { at_work--; home = home | (1 << me) }
    :: else ->
       d_step {
         s = 0;
         do
         :: s < SLOTS ->
            ensure(state(word[s]) == FREE, lost);
            s++
         :: else -> break
         od;
         ensure((confirmed & ~done) == 0, lost);
         ensure(free_bit, unfindable)
       }
    fi
  } DIES
}

proctype Killer() {
  byte who;
end:
  do
  :: atomic { deaths < DEATHS && at_work > 0 && kill == 0 ->
       select (who : 1 .. PUSHERS + TAKERS);
       if
       :: !(home & (1 << who)) -> deaths++; kill = who
       :: else
       fi;
       who = 0
     }
  od
}

/* JobStore::repair, under the lifecycle lock. Another one begins anew if it is killed. */
proctype Undertaker() {
  byte s, seat, l;
  short w;
  bool ok, hinted;
end:
  do
  :: dead != 0 ->
     seat = 1;
     do
     :: !(dead & (1 << seat)) -> seat++
     :: else -> break
     od;
     s = 0;
     do
     :: s < SLOTS ->
        w = word[s];
        l = level_of(w);
        if
#ifndef FREE_UNREPAIRED
        :: state(w) == FREE ->
           if
           :: !free_bit -> free_bit = true
           :: else
           fi
#endif
#ifndef RETURNED_UNREPAIRED
        :: is_returned(w) -> add_returned(s, l)
#endif
#ifndef CLEARED_UNREPAIRED
        :: state(w) == READY && !is_back(w) && seat_of(w) != seat ->
           if
           :: !(ring_mask & (1 << l)) -> ring_mask = ring_mask | (1 << l)
           :: else
           fi
#endif
        :: state(w) == READY && !is_back(w) && seat_of(w) == seat ->
           hinted = cell[l * CAPACITY + position[s] % CAPACITY] ==
                    full_cell(position[s] / CAPACITY, s, token_of(w));
           if
           :: hinted ->
#ifndef MASK_UNREPAIRED
              ring_mask = ring_mask | (1 << l)
#else
              skip
#endif
           :: else ->
              atomic {
                ok = false;
                if
#ifdef UNHINTED_RETURNED
                :: swapped(s, w, w | 4)
#else
                :: swapped(s, w, make(FREE, 0, 0, 0, token_of(w))); job[s] = 0
#endif
                :: else
                fi
              }
              if
              :: ok ->
#ifdef UNHINTED_RETURNED
                 add_returned(s, l)
#else
                 if
                 :: !free_bit -> free_bit = true
                 :: else
                 fi
#endif
              :: else
              fi
           fi
        :: state(w) == WRITING && seat_of(w) == seat ->
           atomic { word[s] = make(FREE, 0, 0, 0, token_of(w)); job[s] = 0 }
           if
           :: !free_bit -> free_bit = true
           :: else
           fi
        :: state(w) == LEASED && seat_of(w) == seat ->
           atomic { word[s] = make(READY, 1, l, seat, token_of(w)); holder[s] = 0 }
           add_returned(s, l)
        :: else
        fi;
        atomic { w = 0; l = 0; ok = false; hinted = false }
        if
        :: s++
        :: restarts < RESTARTS -> restarts++; s = 0
        fi
     :: else -> break
     od;
     atomic { dead = dead & ~(1 << seat); seat = 0; s = 0; at_work-- }
  od
}

init {
  byte i;
  atomic {
#ifdef PREPARED
    for (i : 0 .. SLOTS - 1) {
      word[i] = make(READY, 0, i % LEVELS, LAST_SEAT, 1);
      cell[(i % LEVELS) * CAPACITY + i / LEVELS] = full_cell(0, i, 1);
      position[i] = i / LEVELS;
      tail[i % LEVELS] = i / LEVELS + 1;
      jobs++;
      job[i] = jobs;
      before[jobs] = confirmed;
      confirmed = confirmed | (1 << jobs);
      of_level[i % LEVELS] = of_level[i % LEVELS] | (1 << jobs)
    }
    ring_mask = (1 << LEVELS) - 1;
    free_bit = false;
#endif
#if PUSHERS > 0
    for (i : 1 .. PUSHERS) { run Pusher(i) }
#endif
    for (i : PUSHERS + 1 .. PUSHERS + TAKERS) { run Taker(i, (i == PUSHERS + 1 -> TAKES : OTHERS)) }
    if
    :: DEATHS > 0 -> run Undertaker(); run Killer()
    :: else
    fi
  }
  at_work == 0 -> run Taker(LAST_SEAT, 1)
}
