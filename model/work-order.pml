/*
 * Stages that jobs leave in the order of their pushes: is the order kept, and is no job forgotten that waits for its turn?
 *
 * Mirrors, step by step,
 *   native/include/millrace/work/serials.hpp      give
 *   native/include/millrace/work/order.hpp        advance, blocked, pass_all, judge, oldest_behind, bury
 *   native/include/millrace/work/job_stages.hpp   leave_stage, let_go
 *   native/include/millrace/work/job_store.hpp    repair, of words that are writing, leased, moving
 *
 * A job gets its number by filling the next cell of a ring, which also says in which slot it is. Done in the ordered stage,
 * it is `held`; who has the lock of the stage moves a watermark over all numbers whose jobs have left or ended, and lets the
 * held ones go on as it comes to them. Whoever ends or holds a job looks whether the front still blocks; if not, it does this,
 * or leaves a mark for whoever has the lock. Nobody waits for anybody. All of it may be cut by a death, and is
 * finished by the undertaker, who frees the lock of the dead after it has repaired their slots.
 *
 * The last stage is reduced: a job that is there is done, and its slot is free for whoever wants it. Hints are not contained: a
 * worker takes any job that is ready (work-hints.pml). Memory is sequentially consistent, as all these operations are.
 *
 * Properties: a job leaves the stage after all whose push had ended before its own began, unless these have ended (overtaken);
 * the watermark has not passed a job that is still to leave (skipped); each leaves once (twice); in the end what was pushed has
 * left, or ended, or is there (lost), nothing is held behind nobody (forgotten), and nothing stays half done (stuck).
 *
 * Bounds: PUSHERS push PUSHES jobs each (OTHER_PUSHES, all but the first) into SLOTS slots, by a ring of CAPACITY cells, behind
 * PREPARED jobs and the numbers of ENDED ones; WORKERS take TAKES jobs each at most, and finish them or (DROPS of them) end them;
 * EARLY stages come before the ordered one; DEATHS are killed at any step, the first RESTARTS undertakers among them.
 *
 * run in-order          -DPUSHES=3 -DWORKERS=2 -DTAKES=2
 * run early-stage       -DEARLY=1 -DPUSHES=2 -DWORKERS=2 -DTAKES=3
 * run two-push          -DPUSHERS=2 -DPUSHES=1 -DWORKERS=1 -DTAKES=2
 * run slots-again       -DSLOTS=2 -DPUSHES=3 -DWORKERS=2 -DTAKES=2 -DDROPS=1
 * run ring-forgets      -DCAPACITY=2 -DPREPARED=1 -DENDED=1 -DPUSHES=2 -DWORKERS=1 -DTAKES=3 -DDROPS=2
 * run worker-dies       -DPREPARED=2 -DPUSHERS=0 -DWORKERS=2 -DTAKES=2 -DDEATHS=1
 * run pusher-dies       -DPUSHES=2 -DWORKERS=1 -DTAKES=2 -DDEATHS=1
 * run undertaker-dies   -DPREPARED=2 -DPUSHERS=0 -DWORKERS=1 -DTAKES=2 -DDEATHS=2 -DRESTARTS=1
 * deep two-push         -DPUSHERS=2 -DPUSHES=1 -DWORKERS=2 -DTAKES=1
 * deep ring-forgets     -DCAPACITY=2 -DPREPARED=1 -DENDED=2 -DPUSHERS=2 -DPUSHES=2 -DOTHER_PUSHES=1 -DWORKERS=1 -DTAKES=3 -DDROPS=2
 * deep undertaker-dies  -DPREPARED=2 -DPUSHERS=0 -DWORKERS=2 -DTAKES=1 -DDEATHS=2 -DRESTARTS=1
 * broken NO_MARK               forgotten | who finds the lock taken leaves no mark | -DPREPARED=2 -DPUSHERS=0
 * broken NO_SECOND_TRY         forgotten | who leaves a mark does not try the lock again | -DPREPARED=2 -DPUSHERS=0
 * broken MARK_BEFORE_UNLOCK    forgotten | the mark is looked at before the lock is free | -DPREPARED=2 -DPUSHERS=0
 * broken DIRTY_CLEARED_LATE    forgotten | the mark is cleared after the jobs were looked at | -DPREPARED=2 -DPUSHERS=0
 * broken NO_LOCK               overtaken | jobs are let go without the lock | -DPREPARED=3 -DPUSHERS=0 -DTAKES=2
 * broken NOT_AFTER_HOLD        forgotten | who holds a job does not look afterwards | -DPREPARED=2 -DPUSHERS=0
 * broken NOT_AFTER_END         forgotten | who ends a job does not look afterwards | -DPREPARED=2 -DPUSHERS=0 -DDROPS=1
 * broken LOOK_BEFORE_HOLD      forgotten | who holds a job looks before its word says so | -DPREPARED=2 -DPUSHERS=0
 * broken WATERMARK_FIRST       forgotten | the watermark passes a job before it is let go | -DPREPARED=2 -DPUSHERS=0 -DWORKERS=1 -DDEATHS=1
 * broken LOCK_FREED_FIRST      overtaken | the undertaker frees the lock before it has repaired the slots | -DPREPARED=2 -DPUSHERS=0 -DDEATHS=1
 * broken LOCK_LEFT             stuck     | the undertaker leaves the lock alone | -DPREPARED=2 -DPUSHERS=0 -DDEATHS=1
 * broken UNDERTAKER_PUBLISHES  overtaken | what the dead was done with goes on at once | -DPREPARED=2 -DPUSHERS=0 -DDEATHS=1
 * broken UNDERTAKER_LEAVES_ALL forgotten | the undertaker does not look who can go on | -DPREPARED=2 -DPUSHERS=0 -DDEATHS=1
 * broken NUMBER_FIRST          skipped   | a number is taken before its cell is filled | -DPUSHERS=2 -DOTHER_PUSHES=1 -DWORKERS=1 -DTAKES=2
 * broken CELL_BY_STORE         skipped   | the cell is filled without a compare | -DPUSHERS=2 -DPUSHES=1 -DWORKERS=1 -DTAKES=2
 * broken WRITING_PASSED        skipped   | a push under way does not block | -DPUSHERS=2 -DOTHER_PUSHES=1 -DWORKERS=1 -DTAKES=2
 * broken STAGE_AFTER_NUMBER    skipped   | the number is given before the stage is told | -DPUSHES=2 -DSLOTS=1 -DWORKERS=1 -DTAKES=2
 * broken NUMBER_STAYS          forgotten | a slot that is claimed anew keeps the number of its last job | -DSLOTS=2 -DPREPARED=2 -DPUSHES=1 -DWORKERS=2 -DTAKES=1 -DDROPS=1
 * broken NO_BIRTH              forgotten | the number counts before the slot has its new birth | -DSLOTS=2 -DPREPARED=2 -DPUSHES=1 -DWORKERS=2 -DTAKES=1 -DDROPS=1
 * broken SERIAL_BEFORE_BORN    forgotten | the number is looked at before the birth that tells whose it is | -DSLOTS=2 -DPREPARED=2 -DPUSHES=1 -DWORKERS=2 -DTAKES=1 -DDROPS=1
 * broken NAMED_UNSEEN          forgotten | who named a number that it did not get does not look afterwards | -DCAPACITY=2 -DPUSHERS=2 -DPUSHES=3 -DOTHER_PUSHES=1 -DWORKERS=1 -DTAKES=2 -DDROPS=1
 * broken SEARCHED_IS_GONE      skipped   | what a search has found and is gone then counts as the job of that number | -DCAPACITY=2 -DPREPARED=1 -DENDED=1 -DPUSHERS=2 -DPUSHES=1 -DWORKERS=1 -DTAKES=2 -DDROPS=1
 * broken SEARCH_UNBOUNDED      skipped   | the search goes beyond what had been pushed when it began | -DCAPACITY=2 -DPREPARED=1 -DENDED=2 -DPUSHERS=2 -DPUSHES=1 -DWORKERS=1 -DTAKES=2 -DDROPS=1
 */

#ifndef SLOTS
#define SLOTS 3
#endif
#ifndef CAPACITY
#define CAPACITY 4
#endif
#ifndef PUSHERS
#define PUSHERS 1
#endif
#ifndef PUSHES
#define PUSHES 2
#endif
#ifndef OTHER_PUSHES
#define OTHER_PUSHES PUSHES      /* of the pushers but the first */
#endif
#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef TAKES
#define TAKES 1
#endif
#ifndef PREPARED
#define PREPARED 0               /* jobs that have been pushed before */
#endif
#ifndef ENDED
#define ENDED 0                  /* and behind these, jobs that have ended */
#endif
#ifndef DROPS
#define DROPS 0
#endif
#ifndef EARLY
#define EARLY 0
#endif
#ifndef DEATHS
#define DEATHS 0
#endif
#ifndef RESTARTS
#define RESTARTS 0
#endif
#define ORDERED EARLY            /* the stage that jobs leave in order */
#define LAST (ORDERED + 1)
#define LIVING (PUSHERS + WORKERS)
#define UNDERTAKER (LIVING + 1)  /* the first of them */
#define NONE 255

bool overtaken, skipped, twice, lost, forgotten, stuck;
#define ensure(condition, otherwise) assert((condition) || otherwise)

/* A word: state 3, seat 4 (from 1 on), token. */
#define FREE 0
#define WRITING 1
#define READY 2
#define LEASED 3
#define HELD 4
#define MOVING 5
#define state(w) ((w) & 7)
#define seat_of(w) (((w) >> 3) & 15)
#define token_of(w) ((w) >> 7)
#define make(s, seat, token) ((s) | (seat) << 3 | (token) << 7)

short word[SLOTS];
byte born[SLOTS];
byte serial[SLOTS];
byte stage[SLOTS];

/* A cell: slot 2, number. At first those of numbers before the first one, of nobody. */
#define make_cell(number, s) ((s) | (number) << 2)
#define slot_of(c) ((c) & 3)
#define number_of(c) ((c) >> 2)
byte cell[CAPACITY];
byte last;                      /* the number given last; behind by those who have not counted it yet */

byte watermark;
byte front;                     /* slot + 1 of the one behind it, where the ring does not tell: a hint */
byte lock;                      /* seat of the holder */
bool dirty;

/* For the properties alone. */
byte job[SLOTS];                /* which one is in that slot */
byte jobs;
short pushed, out;              /* whose push has ended; who has left the stage or ended: a bit for each job */
short before[1 + PREPARED + PUSHERS * PUSHES];  /* whose push had ended when that of this job began */
byte drops, deaths, kill;
short dead, home;               /* the unburied, and who has ended: a bit for each seat */

/* Who is to die does so before anybody else goes on: that it could do more steps first is another run. */
#if DEATHS > 0
#define MORTAL provided (kill == 0 || kill == _pid) /* which is `me`: they are run in this order */
#define DIES unless { kill == me -> atomic { kill = 0; dead = dead | (1 << me); home = home | (1 << me) } }
#else
#define MORTAL
#define DIES
#endif

#define FRONT_GONE 0
#define FRONT_HELD 1
#define FRONT_BLOCKS 2

#define is_claimable(i) (state(word[i]) == FREE || (state(word[i]) == READY && stage[i] > ORDERED))
#define is_takeable(i) (state(word[i]) == READY && stage[i] <= ORDERED)
#define bit(s) (1 << job[s])
#define is_undone(s) (state(word[s]) != FREE && stage[s] <= ORDERED)

/* The job in that slot comes to the last stage, by this step. */
inline leaves(s) {
  ensure((before[job[s]] & ~out) == 0, overtaken);
  ensure((out & bit(s)) == 0, twice);
  out = out | bit(s)
}

/* What the job of number `n`, which is or was in slot `s`, is to the stage: `v`; its word: `w`. */
inline judge(n, s) {
  w = word[s];
  if
  :: state(w) == FREE -> v = FRONT_GONE
#ifdef WRITING_PASSED
  :: state(w) == WRITING -> v = FRONT_GONE
#endif
#ifdef SERIAL_BEFORE_BORN
  :: state(w) == WRITING && serial[s] != n -> v = FRONT_GONE
  :: state(w) == WRITING && serial[s] == n ->
     if
     :: born[s] != token_of(w) -> v = FRONT_GONE
     :: else -> v = FRONT_BLOCKS
     fi
#elif !defined(NO_BIRTH)
  :: state(w) == WRITING && born[s] != token_of(w) -> v = FRONT_GONE
#endif
  :: else ->
     if
     :: serial[s] != n -> v = FRONT_GONE
     :: else ->
        if
        :: stage[s] > ORDERED -> v = FRONT_GONE
        :: else -> v = (state(w) == HELD && stage[s] == ORDERED -> FRONT_HELD : FRONT_BLOCKS)
        fi
     fi
  fi
}

/* The smallest number between `n` and `l` of a job that has not left: `n`, and its slot `s`; or none, `s` is NONE. */
inline search() {
  f = NONE; m = 0; i = 0;
  do
  :: i < SLOTS ->
     m = serial[i];
#ifdef SEARCH_UNBOUNDED
     if
     :: m < n || (f != NONE && m >= o) -> v = FRONT_GONE
#else
     if
     :: m < n || m > l || (f != NONE && m >= o) -> v = FRONT_GONE
#endif
     :: else -> judge(m, i)
     fi;
     atomic {
       if
       :: v != FRONT_GONE -> f = i; o = m
       :: else
       fi;
       v = 0; w = 0; i++ }
  :: else -> break
  od;
  atomic { s = f; m = 0; i = 0; f = 0; if :: s != NONE -> n = o :: else fi; o = 0 }
}

/* Order::pass_all, under the lock. */
inline pass_all() {
#ifndef DIRTY_CLEARED_LATE
  dirty = false;
#endif
  do
  :: n = watermark + 1;
#ifdef LAST_AFTER_SEARCH
     l = 200;
#else
     l = last;
#endif
     if
     :: n > l -> break
     :: else
     fi;
     c = cell[n % CAPACITY];
     s = slot_of(c);
     if
     :: number_of(c) == n -> told = true
     :: else ->
        told = false;
        search();
        if
        :: s == NONE ->
#ifdef LAST_AFTER_SEARCH
           watermark = last;
#else
           watermark = l;
#endif
           break
        :: else ->
           if
           :: n != watermark + 1 -> watermark = n - 1
           :: else
           fi;
           front = s + 1
        fi
     fi;
     judge(n, s);
     if
     :: v == FRONT_BLOCKS -> break
     :: v == FRONT_HELD ->
#ifdef WATERMARK_FIRST
        watermark = n;
#endif
        let_go();
#ifndef WATERMARK_FIRST
        if
        :: ok -> watermark = n
        :: else
        fi
#endif
     :: else ->
#ifndef SEARCHED_IS_GONE
        /* What was found by the search perhaps only named that number. */
        if
        :: told -> watermark = n
        :: else
        fi
#else
        watermark = n
#endif
     fi;
     atomic { n = 0; s = 0; c = 0; w = 0; v = 0; l = 0; told = false }
  od;
  atomic { n = 0; s = 0; c = 0; w = 0; v = 0; l = 0; ok = false; told = false }
#ifdef DIRTY_CLEARED_LATE
  ; dirty = false
#endif
}

inline let_go() {
  atomic {
    ok = word[s] == w;
    if
    :: ok -> w = make(MOVING, me, token_of(w)); word[s] = w
    :: else
    fi
  };
  if
  :: ok ->
#ifdef STAGE_AFTER
     atomic { leaves(s); word[s] = make(READY, me, token_of(w)) };
     stage[s] = LAST
#else
     stage[s] = LAST;
     atomic { leaves(s); word[s] = make(READY, me, token_of(w)) }
#endif
  :: else
  fi
}

/* Order::blocked: `ok` tells. */
inline blocked() {
  n = watermark + 1;
  if
  :: n > last -> ok = true
  :: else ->
     c = cell[n % CAPACITY];
     if
     :: number_of(c) != n ->
        if
        :: front == 0 -> ok = false
        :: else -> s = front - 1; judge(n, s); ok = v == FRONT_BLOCKS
        fi
     :: else -> s = slot_of(c); judge(n, s); ok = v == FRONT_BLOCKS
     fi
  fi;
  atomic { n = 0; s = 0; c = 0; w = 0; v = 0 }
}

inline try_lock() {
  atomic { ok = lock == 0; if :: ok -> lock = me :: else fi }
}

/* Order::advance. */
inline advance() {
#ifdef NO_LOCK
  pass_all()
#else
  blocked();
  do
  :: ok -> ok = false; break
  :: else ->
     try_lock();
     if
     :: ok
     :: else ->
#ifndef NO_MARK
        dirty = true;
#endif
#ifndef NO_SECOND_TRY
        try_lock()
#endif
     fi;
     if
     :: !ok -> break
     :: else
     fi;
     pass_all();
#ifdef MARK_BEFORE_UNLOCK
     ok = !dirty;
     lock = 0
#else
     lock = 0;
#ifdef NO_MARK
     ok = true
#else
     ok = !dirty
#endif
#endif
  od;
  ok = false
#endif
}

/* FreeSlots::claim and what reserve() writes: `x`. A job of the last stage is done when its slot is wanted. */
inline claim() {
  atomic {
    if
    :: is_claimable(0) -> x = 0
#if SLOTS > 1
    :: !is_claimable(0) && is_claimable(1) -> x = 1
#endif
#if SLOTS > 2
    :: !is_claimable(0) && !is_claimable(1) && is_claimable(2) -> x = 2
#endif
    :: else -> x = NONE
    fi;
    if
    :: x != NONE ->
       jobs++;
       t = make(WRITING, me, token_of(word[x]) + 1);
       word[x] = t;
       job[x] = jobs;
       mine = jobs;
       before[jobs] = pushed
    :: else -> break
    fi
  };
#ifndef NUMBER_STAYS
  serial[x] = 0;
#endif
  born[x] = token_of(t)
}

/* Serials::give. `again`: a number was named that it did not get, and a search may have found it there. */
inline give() {
#ifdef NUMBER_FIRST
  atomic { last++; n = last };
  serial[x] = n;
  cell[n % CAPACITY] = make_cell(n, x);
#else
  n = last + 1;
  do
  :: c = cell[n % CAPACITY];
     if
     :: number_of(c) >= n -> n = number_of(c) + 1
     :: else ->
        serial[x] = n;
        atomic {
#ifdef CELL_BY_STORE
          ok = true;
#else
          ok = cell[n % CAPACITY] == c;
#endif
          if
          :: ok -> cell[n % CAPACITY] = make_cell(n, x)
          :: else -> again = true
          fi };
        if
        :: ok -> break
        :: else
        fi
     fi
  od;
  atomic { last = (last < n -> n : last) };
#endif
  atomic { n = 0; c = 0; ok = false }
}

proctype Pusher(byte me; byte count) MORTAL {
  byte s, x, n, m, o, f, i, c, v, l, mine;
  short w, t;
  bool ok, told, again;
  {
    do
    :: count > 0 ->
       claim();
#ifndef STAGE_AFTER_NUMBER
       stage[x] = 0;
#endif
       give();
#ifdef NAMED_UNSEEN
       again = false;
#else
       if
       :: again -> again = false; advance()
       :: else
       fi;
#endif
#ifdef STAGE_AFTER_NUMBER
       stage[x] = 0;
#endif
       word[x] = make(READY, me, token_of(t));
       atomic { pushed = pushed | (1 << mine); x = 0; mine = 0; t = 0; count-- }
    :: break
    od;
    atomic { home = home | (1 << me) }
  } DIES
}

inline take() {
  atomic {
    if
    :: is_takeable(0) -> t = 0
#if SLOTS > 1
    :: is_takeable(1) -> t = 1
#endif
#if SLOTS > 2
    :: is_takeable(2) -> t = 2
#endif
    :: else -> break
    fi;
    u = make(LEASED, me, token_of(word[t]));
    word[t] = u
  }
}

proctype Worker(byte me) MORTAL {
  byte s, n, m, o, f, i, c, v, l, t, takes = TAKES;
  short w, u;
  bool ok, told;
  {
    do
    :: takes > 0 ->
       take();
       if
       :: atomic { drops < DROPS -> drops++; out = out | bit(t); word[t] = make(FREE, 0, token_of(u)) }; /* Complete. */
          atomic { t = 0; u = 0; takes-- };
#ifndef NOT_AFTER_END
          advance()
#endif
       :: stage[t] < ORDERED ->
          u = make(MOVING, me, token_of(u));
          word[t] = u;
          stage[t] = stage[t] + 1;
          word[t] = make(READY, me, token_of(u));
          atomic { t = 0; u = 0; takes-- }
       :: stage[t] == ORDERED ->
          u = make(MOVING, me, token_of(u));
          word[t] = u;
          ensure(serial[t] > watermark, skipped);
#ifdef LOOK_BEFORE_HOLD
          advance();
#endif
          word[t] = make(HELD, 0, token_of(u));
          atomic { t = 0; u = 0; takes-- };
#if !defined(NOT_AFTER_HOLD) && !defined(LOOK_BEFORE_HOLD)
          advance()
#endif
       fi
    :: break
    od;
    atomic { home = home | (1 << me) }
  } DIES
}

/* Whose seat is buried: its slots, then its lock, then whatever waited for it. Under the lifecycle lock: one at a time. */
inline repair_slot() {
  w = word[t];
  if
  :: seat_of(w) != seat
  :: else ->
     if
     :: state(w) == WRITING -> atomic { if :: word[t] == w -> out = out | bit(t); word[t] = make(FREE, 0, token_of(w)) :: else fi }
     :: state(w) == LEASED -> atomic { if :: word[t] == w -> word[t] = make(READY, me, token_of(w)) :: else fi }
     :: state(w) == MOVING ->
        if
        :: stage[t] == ORDERED ->
#ifdef UNDERTAKER_PUBLISHES
           stage[t] = LAST;
           atomic { leaves(t); word[t] = make(READY, me, token_of(w)) }
#else
           word[t] = make(HELD, 0, token_of(w));
           w = 0;
           advance()
#endif
        :: stage[t] < ORDERED -> stage[t] = stage[t] + 1; word[t] = make(READY, me, token_of(w))
        :: else -> atomic { leaves(t); word[t] = make(READY, me, token_of(w)) }
        fi
     :: else
     fi
  fi;
  w = 0
}

inline bury() {
  t = 0;
  do
  :: t < SLOTS -> repair_slot(); t++
  :: else -> break
  od;
  t = 0
}

inline free_lock() {
  atomic { if :: lock == seat -> lock = 0 :: else fi }
}

proctype Undertaker(byte me) MORTAL {
  byte s, n, m, o, f, i, c, v, l, t, seat;
  short w;
  bool ok, told;
  {
end:
    do
    :: dead != 0 && (me == UNDERTAKER || (home & (1 << UNDERTAKER))) ->
       seat = 1;
       do
       :: !(dead & (1 << seat)) -> seat++
       :: else -> break
       od;
#ifdef LOCK_FREED_FIRST
       free_lock();
#endif
       bury();
#if !defined(LOCK_FREED_FIRST) && !defined(LOCK_LEFT)
       free_lock();
#endif
#ifndef UNDERTAKER_LEAVES_ALL
       advance();
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
  byte i, j;
  atomic {
    i = 0;
    do
    :: i < PREPARED ->
      jobs = i + 1;
      last = jobs;
      word[i] = make(READY, 0, 1);
      born[i] = 1;
      serial[i] = jobs;
      cell[jobs % CAPACITY] = make_cell(jobs, i);
      job[i] = jobs;
      before[jobs] = pushed;
      pushed = pushed | (1 << jobs);
      i++
    :: else -> break
    od;
    i = 0;
    do
    :: i < ENDED -> last++; cell[last % CAPACITY] = make_cell(last, PREPARED); serial[PREPARED] = last; i++
    :: else -> break
    od;
    i = 1;
    do
    :: i <= PUSHERS -> run Pusher(i, (i == 1 -> PUSHES : OTHER_PUSHES)); i++
    :: else -> break
    od;
    for (i : (PUSHERS + 1) .. LIVING) { run Worker(i) }
    if
    :: DEATHS > 0 ->
       for (i : UNDERTAKER .. (UNDERTAKER + RESTARTS)) { run Undertaker(i) }
       run Killer()
    :: else
    fi
  }
  atomic {
    (home & EVERYBODY) == EVERYBODY && dead == 0 && kill == 0;
    ensure(lock == 0, stuck);
    i = 0;
    do
    :: i < SLOTS ->
       ensure(state(word[i]) == FREE || state(word[i]) == READY || state(word[i]) == HELD, stuck);
       if
       :: state(word[i]) == HELD ->
          /* Somebody in front of it is still to leave. */
          j = 0;
          do
          :: j < SLOTS && !(is_undone(j) && serial[j] < serial[i]) -> j++
          :: else -> break
          od;
          ensure(j < SLOTS, forgotten)
       :: else
       fi;
       if
       :: is_undone(i) -> ensure((out & bit(i)) == 0, twice); out = out | bit(i)
       :: else
       fi;
       i++
    :: else -> break
    od;
    ensure((pushed & ~out) == 0, lost)
  }
}
