/*
 * become(): is a job always whole while it becomes its result, and no memory lost, or anybody's who does not have it?
 *
 * Mirrors, step by step,
 *   native/include/millrace/work/job_results.hpp  become, take_place, sweep_results
 *   native/include/millrace/work/job_store.hpp    repair, repair_slot, move_for, is_orphan
 *   native/include/millrace/work/job_steps.hpp    end_word
 *   native/include/millrace/store/arena.hpp        take, give_back, sweep, sweep_strays
 *
 * A job has its payload in granules of memory, each of which says by a word whose it is: slot and birth. Its result, of
 * another size, is written to granules that are claimed for the same slot and birth:
 *
 *   leased -> moving, not yet    from now on nobody takes the job away, also where leases end by time
 *   room is claimed, and the result written there; no room: back to leased
 *   forward                      where it is
 *   moving, become               the step
 *   the slot says where it is, the old granules are given back, the job is ready in the next stage
 *
 * Whoever buries a seat first gives back what belongs to jobs that this seat was moving and is not where their payload is, then
 * repairs its slots, and then gives back what belongs to no job.
 *
 * Memory is sequentially consistent: all is handed over by the words of slots and granules.
 *
 * Properties: who has a job in hand finds its payload, or its result, whole, and of the stage that it is in (half); nobody writes to a
 * granule that is not his any more (stolen); a job is done once (twice), and one that was pushed is there or done
 * (lost); in the end each granule is free or where a job's payload is (leaked), and no slot stays half done (stuck).
 *
 * Bounds: one job of one granule, PUSHES more, into two slots; results of RESULT granules; GRANULES in all; WORKERS take TAKES
 * jobs each at most; EXPIRIES of leases; DEATHS at any step, the first RESTARTS undertakers among them.
 *
 * run worker-dies      -DGRANULES=3 -DWORKERS=2 -DTAKES=2 -DDEATHS=1
 * run pusher-beside    -DPUSHES=1 -DWORKERS=1 -DTAKES=2 -DDEATHS=1
 * run lease-ends       -DWORKERS=2 -DTAKES=2 -DEXPIRIES=1
 * run both             -DWORKERS=2 -DTAKES=1 -DEXPIRIES=1 -DDEATHS=1
 * run no-room          -DGRANULES=2 -DWORKERS=2 -DTAKES=2 -DDEATHS=1
 * run undertaker-dies  -DWORKERS=1 -DTAKES=1 -DDEATHS=2 -DRESTARTS=1
 * deep worker-dies     -DWORKERS=2 -DTAKES=3 -DDEATHS=1
 * deep all             -DPUSHES=1 -DWORKERS=2 -DTAKES=2 -DEXPIRIES=1 -DDEATHS=1
 * deep undertaker-dies -DWORKERS=2 -DTAKES=2 -DDEATHS=2 -DRESTARTS=1
 * broken COPY_BEFORE_MOVING  leaked | room is claimed, and the result copied, while the lease can end by time | -DEXPIRIES=1 -DDEATHS=1
 * broken COPY_IN_PLACE       half   | the result is written over the payload, before the step | -DRESULT=1 -DDEATHS=1
 * broken STEP_BEFORE_FORWARD half   | the step is made before it is told where the result is | -DDEATHS=1
 * broken PLACE_BEFORE_STEP   half   | the slot says where the result is before the step | -DDEATHS=1
 * broken OLD_BEFORE_STEP     half   | the payload is given back before the step | -DDEATHS=1
 * broken OLD_KEPT            leaked | what the payload had is not given back | -DWORKERS=1
 * broken FREED_FIRST         half   | what the payload has is given back before the job has ended | -DEXPIRIES=1
 * broken NOT_SWEPT_BEFORE    leaked | what the dead has claimed is given back only after its jobs can be taken again | -DDEATHS=1
 * broken SWEPT_AFTER         leaked | the sweep of results comes after the jobs | -DDEATHS=1
 * broken NOT_SWEPT_AFTER     leaked | what belongs to no job is not given back | -DWORKERS=1 -DTAKES=2 -DDEATHS=1
 * broken MOVING_IGNORED      stolen | what is not where a payload is counts as left over, whoever is moving its job | -DPUSHES=1 -DWORKERS=1 -DDEATHS=1
 * broken BECOME_RETURNED     half   | after the step the undertaker gives the old job back | -DDEATHS=1
 * broken PLACE_UNREPAIRED    half   | after the step the undertaker leaves the place as it was | -DDEATHS=1
 */

#ifndef RESULT
#define RESULT 2
#endif
#ifndef GRANULES
#define GRANULES 4
#endif
#ifndef PUSHES
#define PUSHES 0
#endif
#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef TAKES
#define TAKES 1
#endif
#ifndef EXPIRIES
#define EXPIRIES 0
#endif
#ifndef DEATHS
#define DEATHS 0
#endif
#ifndef RESTARTS
#define RESTARTS 0
#endif
#define SLOTS 2
#define PUSHER 1
#define LIVING (1 + WORKERS)
#define UNDERTAKER (LIVING + 1)
#define NONE 255

bool half, stolen, twice, lost, leaked, stuck;
#define ensure(condition, otherwise) assert((condition) || otherwise)

/* A word: state 3, seat 4 (from 1 on), token. */
#define FREE 0
#define WRITING 1
#define READY 2
#define LEASED 3
#define NOT_YET 4               /* moving: still the old one, in hand */
#define BECOME 5                /* moving: the new one */
#define state(w) ((w) & 7)
#define seat_of(w) (((w) >> 3) & 15)
#define token_of(w) ((w) >> 7)
#define make(s, seat, token) ((s) | (seat) << 3 | (token) << 7)
#define is_moving(w) (state(w) == NOT_YET || state(w) == BECOME)

/* A place: granules 2, the first one. */
#define make_place(first, count) ((count) | (first) << 2)
#define first_of(p) ((p) >> 2)
#define count_of(p) ((p) & 3)
#define is_in(g, p) ((g) >= first_of(p) && (g) < first_of(p) + count_of(p))

short word[SLOTS];
byte born[SLOTS];
byte place[SLOTS];
byte forward[SLOTS];
byte stage[SLOTS];

/* Whose a granule is: 1 + slot, birth; 0: nobody's. */
#define mark(s, b) (1 + (s) | (b) << 2)
#define slot_of(o) (((o) & 3) - 1)
#define born_of(o) ((o) >> 2)
byte owner[GRANULES];

/* For the properties alone. */
byte content[GRANULES];         /* of which job it is the payload (even) or the result */
byte job[SLOTS];                /* which one is in that slot */
byte jobs;
byte pushed, done;              /* a bit for each job */
byte expiries, deaths, kill;
short dead, home;

#if DEATHS > 0
#define MORTAL provided (kill == 0 || kill == _pid)
#define DIES unless { kill == me -> atomic { kill = 0; dead = dead | (1 << me); home = home | (1 << me) } }
#else
#define MORTAL
#define DIES
#endif

#define size_of(s) (stage[s] > 0 -> RESULT : 1)
#define what_is(s) (2 * job[s] + (stage[s] > 0 -> 1 : 0))

/* Claims `count` granules from `f` on for the job `b` in slot `s`: `ok`. */
inline claim(s, b, count) {
  ok = true; i = 0;
  do
  :: ok && i < count ->
     atomic {
       if
       :: owner[f + i] == 0 -> owner[f + i] = mark(s, b); i++
       :: else -> ok = false
       fi }
  :: else -> break
  od;
  if
  :: ok
  :: else -> give_back(s, b, make_place(f, i)); ok = false
  fi;
  i = 0
}
inline give_back(s, b, p) {
  j = 0;
  do
  :: j < count_of(p) ->
     atomic {
       if
       :: owner[first_of(p) + j] == mark(s, b) -> owner[first_of(p) + j] = 0
       :: else
       fi;
       j++ }
  :: else -> break
  od;
  j = 0
}
/* To a place of one's own. */
inline write(s, b, p, what) {
  j = 0;
  do
  :: j < count_of(p) ->
     atomic {
       ensure(owner[first_of(p) + j] == mark(s, b), stolen);
       content[first_of(p) + j] = what;
       j++ }
  :: else -> break
  od;
  j = 0
}
/* What is in hand, if it still is. */
inline read(s, w) {
  j = 0; p = place[s];
  ensure(word[s] != w || count_of(p) == size_of(s), half);
  do
  :: j < count_of(p) ->
     atomic {
       ensure(word[s] != w || (content[first_of(p) + j] == what_is(s) && owner[first_of(p) + j] == mark(s, born[s])), half);
       j++ }
  :: else -> break
  od;
  j = 0; p = 0
}
/* Where to look for room first. */
inline choose(count) {
  f = 0;
  do
  :: f + count < GRANULES -> f++
  :: break
  od
}

/* A free slot, a payload, a job. */
proctype Pusher(byte me) MORTAL {
  byte s, f, i, j, b, pushes = PUSHES;
  short w;
  bool ok;
  {
    do
    :: pushes > 0 ->
       atomic {
         pushes--;
         if
         :: state(word[0]) == FREE -> s = 0
         :: state(word[0]) != FREE && state(word[1]) == FREE -> s = 1
         :: else -> break
         fi;
         w = make(WRITING, me, token_of(word[s]) + 1);
         word[s] = w; b = token_of(w);
         jobs++; job[s] = jobs
       }
       born[s] = b;
       place[s] = 0;
       choose(1);
       claim(s, b, 1);
       if
       :: ok ->
          place[s] = make_place(f, 1);
          stage[s] = 0;
          write(s, b, place[s], 2 * job[s]);
          atomic { pushed = pushed | (1 << job[s]); word[s] = make(READY, me, b) }
       :: else -> word[s] = make(FREE, 0, b)
       fi;
       atomic { s = 0; w = 0; f = 0; b = 0; ok = false }
    :: break
    od;
    atomic { home = home | (1 << me) }
  } DIES
}

inline become() {
#ifdef COPY_BEFORE_MOVING
  choose(RESULT);
  claim(s, b, RESULT);
  if
  :: ok -> n = make_place(f, RESULT); write(s, b, n, 2 * job[s] + 1)
  :: else -> n = 0
  fi;
#endif
  atomic {
    ok = word[s] == w;
    if
    :: ok -> w = make(NOT_YET, me, token_of(w)); word[s] = w
    :: else
    fi
  };
  if
  :: !ok ->
     /* The lease is lost. */
#ifdef COPY_BEFORE_MOVING
     give_back(s, b, n);
#endif
     n = 0
  :: else ->
#ifndef COPY_BEFORE_MOVING
#ifdef COPY_IN_PLACE
     n = place[s];
     ok = true;
#else
     choose(RESULT);
     claim(s, b, RESULT);
     n = (ok -> make_place(f, RESULT) : 0);
#endif
     if
     :: ok -> write(s, b, n, 2 * job[s] + 1)
     :: else
     fi;
#endif
     if
     :: n == 0 ->
        /* No room: it is what it was. */
        w = make(LEASED, me, token_of(w));
        word[s] = w;
        /* And is given back some time. */
        atomic {
          if
          :: word[s] == w -> word[s] = make(READY, me, token_of(w))
          :: else
          fi }
     :: else ->
#ifdef PLACE_BEFORE_STEP
        p = place[s];
        place[s] = n;
#endif
#ifdef OLD_BEFORE_STEP
        give_back(s, b, place[s]);
#endif
#ifndef STEP_BEFORE_FORWARD
        forward[s] = n;
#endif
        w = make(BECOME, me, token_of(w));
        word[s] = w;
#ifdef STEP_BEFORE_FORWARD
        forward[s] = n;
#endif
#ifndef PLACE_BEFORE_STEP
        p = place[s];
        place[s] = n;
#endif
#ifndef OLD_KEPT
        if
        :: p != n -> give_back(s, b, p)
        :: else
        fi;
#endif
        stage[s] = 1;
        word[s] = make(READY, me, token_of(w))
     fi
  fi;
  atomic { n = 0; p = 0; f = 0; ok = false }
}

/* end_word */
inline complete() {
  p = place[s];
#ifdef FREED_FIRST
  give_back(s, b, p);
#endif
  atomic {
    ok = word[s] == w;
    if
    :: ok ->
       ensure((done & (1 << job[s])) == 0, twice);
       done = done | (1 << job[s]);
       word[s] = make(FREE, 0, token_of(w))
    :: else
    fi
  };
#ifndef FREED_FIRST
  if
  :: ok -> give_back(s, b, p)
  :: else
  fi;
#endif
  atomic { p = 0; ok = false }
}

proctype Worker(byte me) MORTAL {
  byte s, f, i, j, b, n, p, takes = TAKES;
  short w;
  bool ok;
  {
    do
    :: takes > 0 ->
       atomic {
         takes--;
         if
         :: state(word[0]) == READY -> s = 0
         :: state(word[1]) == READY -> s = 1
         :: else -> break
         fi;
         w = make(LEASED, me, token_of(word[s]) + 1);
         word[s] = w
       }
       b = born[s];
       read(s, w);
       if
       :: stage[s] == 0 -> become()
       :: stage[s] == 1 -> complete()
       fi;
       atomic { s = 0; w = 0; b = 0 }
    :: break
    od;
    atomic { home = home | (1 << me) }
  } DIES
}

/* The lease of a living worker is over. */
proctype Clock() {
  byte s;
end:
  do
  :: atomic { expiries < EXPIRIES && (state(word[0]) == LEASED || state(word[1]) == LEASED) ->
       s = (state(word[0]) == LEASED -> 0 : 1);
       expiries++;
       word[s] = make(READY, 0, token_of(word[s]));
       s = 0 }
  od
}

/* Granules that have the mark of a job that `seat` was moving and are not where its payload is; of all others with STRAYS_OF_ALL. */
inline sweep_results() {
  i = 0;
  do
  :: i < GRANULES ->
     o = owner[i];
     if
     :: o == 0
     :: else ->
        s = slot_of(o);
        w = word[s];
#ifdef MOVING_IGNORED
        ok = state(w) != FREE && state(w) != WRITING && born[s] == born_of(o);
#else
        ok = is_moving(w) && seat_of(w) == seat && born[s] == born_of(o);
#endif
        if
        :: ok ->
           n = (state(w) == BECOME -> forward[s] : place[s]);
           if
           :: !is_in(i, n) -> atomic { if :: owner[i] == o -> owner[i] = 0 :: else fi }
           :: else
           fi
        :: else
        fi
     fi;
     atomic { i++; o = 0; s = 0; w = 0; n = 0; ok = false }
  :: else -> break
  od;
  i = 0
}
/* Those of jobs that do not exist. */
inline sweep() {
  i = 0;
  do
  :: i < GRANULES ->
     o = owner[i];
     if
     :: o == 0
     :: else ->
        s = slot_of(o);
        w = word[s];
        if
        :: state(w) == FREE -> ok = true
        :: state(w) == WRITING -> ok = token_of(w) != born_of(o)
        :: else -> ok = born[s] != born_of(o)
        fi;
        if
        :: ok -> atomic { if :: owner[i] == o -> owner[i] = 0 :: else fi }
        :: else
        fi
     fi;
     atomic { i++; o = 0; s = 0; w = 0; ok = false }
  :: else -> break
  od;
  i = 0
}
inline repair_slot() {
  w = word[s];
  if
  :: seat_of(w) != seat
  :: state(w) == WRITING && seat_of(w) == seat -> word[s] = make(FREE, 0, token_of(w))
  :: state(w) == LEASED && seat_of(w) == seat -> atomic { if :: word[s] == w -> word[s] = make(READY, me, token_of(w)) :: else fi }
  :: state(w) == NOT_YET && seat_of(w) == seat -> word[s] = make(READY, me, token_of(w))
  :: state(w) == BECOME && seat_of(w) == seat ->
#ifdef BECOME_RETURNED
     word[s] = make(READY, me, token_of(w))
#else
#ifndef PLACE_UNREPAIRED
     place[s] = forward[s];
#endif
     stage[s] = 1;
     word[s] = make(READY, me, token_of(w))
#endif
  :: else
  fi;
  w = 0
}

proctype Undertaker(byte me) MORTAL {
  byte s, i, n, o, seat;
  short w;
  bool ok;
  {
end:
    do
    :: dead != 0 && (me == UNDERTAKER || (home & (1 << UNDERTAKER))) ->
       seat = 1;
       do
       :: !(dead & (1 << seat)) -> seat++
       :: else -> break
       od;
#if !defined(NOT_SWEPT_BEFORE) && !defined(SWEPT_AFTER)
       sweep_results();
#endif
       s = 0; repair_slot();
       s = 1; repair_slot();
       s = 0;
#ifdef SWEPT_AFTER
       sweep_results();
#endif
#ifndef NOT_SWEPT_AFTER
       sweep();
#endif
       atomic { dead = dead & ~(1 << seat); seat = 0 }
    od
  } DIES
}

proctype Killer() {
  byte who;
end:
  do
  :: atomic { deaths < DEATHS && kill == 0 ->
       select (who : 1 .. (LIVING + RESTARTS));
       if
       :: !(home & (1 << who)) -> deaths++; kill = who
       :: else
       fi;
       who = 0
     }
  od
}

#define EVERYBODY (((1 << (LIVING + 1)) - 1) & ~1)

init {
  byte i, s;
  atomic {
    jobs = 1; job[0] = 1; born[0] = 1; pushed = 2;
    word[0] = make(READY, 0, 1);
    place[0] = make_place(0, 1);
    owner[0] = mark(0, 1);
    content[0] = 2;
    run Pusher(PUSHER);
    for (i : 2 .. LIVING) { run Worker(i) }
    if
    :: DEATHS > 0 ->
       for (i : UNDERTAKER .. (UNDERTAKER + RESTARTS)) { run Undertaker(i) }
       run Killer()
    :: else
    fi;
    if
    :: EXPIRIES > 0 -> run Clock()
    :: else
    fi
  }
  atomic {
    (home & EVERYBODY) == EVERYBODY && dead == 0 && kill == 0;
    s = 0;
    do
    :: s < SLOTS ->
       ensure(state(word[s]) == FREE || state(word[s]) == READY, stuck);
       if
       :: state(word[s]) == READY ->
          ensure((done & (1 << job[s])) == 0, twice);
          done = done | (1 << job[s]);
          ensure(count_of(place[s]) == size_of(s), half);
          i = 0;
          do
          :: i < count_of(place[s]) ->
             ensure(content[first_of(place[s]) + i] == what_is(s) && owner[first_of(place[s]) + i] == mark(s, born[s]), half);
             i++
          :: else -> break
          od
       :: else
       fi;
       s++
    :: else -> break
    od;
    ensure((pushed & ~done) == 0, lost);
    i = 0;
    do
    :: i < GRANULES ->
       if
       :: owner[i] == 0
       :: else ->
          s = slot_of(owner[i]);
          ensure(state(word[s]) == READY && born[s] == born_of(owner[i]) && is_in(i, place[s]), leaked)
       fi;
       i++
    :: else -> break
    od
  }
}
