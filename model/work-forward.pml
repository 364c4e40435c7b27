/*
 * complete({ to }): is the result of a job there if, and only if, the job is done?
 *
 * A job of one queue is completed by pushing its result to another, in what is one step for everybody else:
 *
 *   (F1) a slot of the target: free -> writing -> promised     complete, and nobody can take it
 *   (F2) the job: leased -> forwarded                          a compare-and-swap: this decides
 *   (F3) the result: promised -> ready
 *   (F4) the job: forwarded -> free
 *
 * The core (begin_forward() and finish_forward() of JobForwards; settle_promise() and bury_forward() for the dead) takes one step more: it makes the job
 * `moving` first, in which nobody can take it away, so that `forward` needs no compare-and-swap, and writes it then. What the
 * model says of the protocol:
 *
 * - The promise names the job by its slot and the token of the lease, and is published or taken back by whoever buries its
 *   maker in the target, who looks at the word of the job: published if it is `forwarded` with that token.
 * - The job names the promise (`forward`) before F2. A worker whose lease was taken away may write that late, over what
 *   the next one has written. So it is written by compare-and-swap from what was read while the lease held.
 * - Whoever buries its maker in the source publishes the promise of a forwarded job before the job is freed, because nothing
 *   tells afterwards that it was forwarded.
 * - Each end is decided by a compare-and-swap of a word with a token: of two undertakers, and of a worker that is not dead
 *   but had its lease taken away, one wins.
 *
 * Memory is sequentially consistent: all is handed over by compare-and-swap.
 *
 * Properties: the result is taken once (twice), not before the job is settled (early), and not if the job goes to another
 * (both); when all is buried the job is done and its result was published (lost), and no slot stays (stuck).
 *
 * Bounds: WORKERS take the one job, and forward it; its lease is taken away EXPIRIES times; DEATHS of workers, each buried in
 * both queues in either order, and RESTARTS of undertakers that are killed at it; results are taken at any time, and their
 * slots are used again by whoever comes next.
 *
 * run one-dies         -DWORKERS=2 -DDEATHS=1
 * run lease-ends       -DWORKERS=2 -DEXPIRIES=1
 * run both             -DWORKERS=2 -DDEATHS=1 -DEXPIRIES=1 -DRESTARTS=1
 * deep two-die         -DWORKERS=3 -DDEATHS=2
 * deep all             -DWORKERS=3 -DDEATHS=1 -DEXPIRIES=1
 * broken READY_AT_ONCE       early | the result is ready before the job is settled | -DWORKERS=1
 * broken NO_COMPARE          twice | the job is settled without a compare, though its lease was over | -DWORKERS=2 -DEXPIRIES=1
 * broken FREED_BEFORE        lost  | the job is free before its result is ready | -DWORKERS=1 -DDEATHS=1
 * broken PROMISES_FREED      lost  | who buries in the target takes back every promise | -DWORKERS=1 -DDEATHS=1
 * broken PROMISES_PUBLISHED  early | who buries in the target publishes every promise | -DWORKERS=2 -DDEATHS=1
 * broken PROMISES_LEFT       stuck | who buries in the target leaves promises alone | -DWORKERS=2 -DDEATHS=1
 * broken FORWARDED_RETURNED  twice | who buries in the source gives a forwarded job back | -DWORKERS=2 -DDEATHS=1
 * broken FORWARDED_FREED     lost  | who buries in the source frees a forwarded job, and no more | -DWORKERS=1 -DDEATHS=1
 * broken FORWARD_BY_STORE    stuck | the job is told of its promise by a store | -DWORKERS=2 -DEXPIRIES=1 -DDEATHS=1
 * broken FORWARD_UNCHECKED   stuck | what that replaces was read when the lease may have been over | -DWORKERS=2 -DEXPIRIES=1 -DDEATHS=1
 * broken NO_TOKEN            both  | a promise does not say of which lease of the job it is | -DWORKERS=2 -DEXPIRIES=1 -DDEATHS=1
 */

#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef DEATHS
#define DEATHS 0
#endif
#ifndef EXPIRIES
#define EXPIRIES 0
#endif
#ifndef RESTARTS
#define RESTARTS 0
#endif
#define RESULTS 2               /* slots of the target */
#define NONE 15

bool lost, twice, early, both, stuck;
#define ensure(condition, otherwise) assert((condition) || otherwise)

/* A word: state 3, seat 3 (from 1 on), token. */
#define FREE 0
#define READY 1
#define LEASED 2
#define FORWARDED 3
#define WRITING 4
#define PROMISED 5
#define state(w) ((w) & 7)
#define seat_of(w) (((w) >> 3) & 7)
#define token_of(w) ((w) >> 6)
#define make(s, seat, token) ((s) | (seat) << 3 | (token) << 6)

short job = READY;              /* its word, */
short forward = NONE;           /* and what it becomes: {slot 4, token of the slot 4, token of the lease} */
#define forward_to(slot, token, lease) ((slot) | (token) << 4 | (lease) << 8)
short result[RESULTS];          /* words, */
byte promised_by[RESULTS];      /* and of which lease each is the result */

/* For the properties alone. */
byte settled_by = NONE;         /* token of the lease */
byte taken;
byte deaths, expiries, restarts, at_work = WORKERS;
byte kill, home;                /* who dies next; who has ended: a bit for each seat */
byte dead_here, dead_there;     /* who is to be buried in the source, and in the target: a bit for each seat */

#if DEATHS > 0
/* Who is to die does so before anybody else goes on. Workers are run first, so that theirs is the process `me`. */
#define MORTAL provided (kill == 0 || kill == _pid)
#define DIES unless { kill == me -> atomic { kill = 0; dead_here = dead_here | (1 << me); dead_there = dead_there | (1 << me); home = home | (1 << me); at_work-- } }
#else
#define MORTAL
#define DIES
#endif

#ifdef NO_TOKEN
#define is_forwarded(w, lease) (state(w) == FORWARDED)
#else
#define is_forwarded(w, lease) (state(w) == FORWARDED && token_of(w) == (lease))
#endif

/* A result that is ready is taken at any time: then it is looked at. */
proctype Consumer() {
  byte r;
end:
  do
  :: atomic {
       state(result[0]) == READY || state(result[1]) == READY ->
       r = (state(result[0]) == READY -> 0 : 1);
       ensure(settled_by != NONE, early);
       ensure(promised_by[r] == settled_by, both);
       ensure(taken == 0, twice);
       taken++;
       result[r] = make(FREE, 0, token_of(result[r]));
       r = 0
     }
  od
}

/* promised -> ready, if it is still that one. */
inline publish(slot, word) {
  atomic {
    if
    :: result[slot] == (word) && state(word) == PROMISED -> result[slot] = make(READY, seat_of(word), token_of(word))
    :: else
    fi
  }
}

proctype Worker(byte me) MORTAL {
  short w, r, f;
  byte slot;
  bool ok;
  {
    do
    :: atomic {
         state(job) == READY ->
         w = make(LEASED, me, token_of(job) + 1);
         job = w
       }
       /* (F1) */
       atomic {
         state(result[0]) == FREE || state(result[1]) == FREE ->
         slot = (state(result[0]) == FREE -> 0 : 1);
         r = make(WRITING, me, token_of(result[slot]) + 1);
         result[slot] = r
       }
       promised_by[slot] = token_of(w);
#ifdef READY_AT_ONCE
       atomic { r = make(READY, me, token_of(r)); result[slot] = r }
#else
       atomic { r = make(PROMISED, me, token_of(r)); result[slot] = r }
#endif
       /* Told to the job. */
#ifdef FORWARD_BY_STORE
       ok = job == w;
       if
       :: ok -> forward = forward_to(slot, token_of(r), token_of(w))
       :: else
       fi;
#else
       do
       :: f = forward;
#ifndef FORWARD_UNCHECKED
          ok = job == w;
          if
          :: !ok -> break
          :: else
          fi;
#endif
          atomic {
            ok = forward == f;
            if
            :: ok -> forward = forward_to(slot, token_of(r), token_of(w)); break
            :: else
            fi
          }
       od;
#endif
       f = 0;
       /* (F2) */
       if
       :: ok ->
          atomic {
#ifndef NO_COMPARE
            ok = job == w;
#endif
            if
            :: ok ->
               job = make(FORWARDED, me, token_of(w));
               w = job;
               settled_by = token_of(w)
            :: else
            fi
          }
       :: else
       fi;
       if
       :: ok ->
#ifdef FREED_BEFORE
          atomic { if :: job == w -> job = make(FREE, 0, token_of(w)) :: else fi };
          publish(slot, r)
#else
          publish(slot, r);   /* (F3) */
          /* (F4) */
          atomic { if :: job == w -> job = make(FREE, 0, token_of(w)) :: else fi }
#endif
       :: else ->
          /* The lease is lost: it takes its promise back. */
          atomic { if :: result[slot] == r -> result[slot] = make(FREE, 0, token_of(r)) :: else fi }
       fi;
       atomic { w = 0; r = 0; slot = 0; ok = false }
    :: atomic { state(job) == FREE || at_work > 1 -> break }
    od;
    atomic { at_work--; home = home | (1 << me) }
  } DIES
}

/* The lease of a living worker is over. */
proctype Clock() {
end:
  do
  :: atomic { expiries < EXPIRIES && state(job) == LEASED -> expiries++; job = make(READY, 0, token_of(job)) }
  od
}

proctype Killer() {
  byte who;
end:
  do
  :: atomic { deaths < DEATHS && at_work > 0 && kill == 0 ->
       select (who : 1 .. WORKERS);
       if
       :: !(home & (1 << who)) -> deaths++; kill = who
       :: else
       fi;
       who = 0
     }
  od
}

/* Of the source. One that is killed is followed by another, which begins anew. */
proctype UndertakerHere() {
  byte seat;
  short w, f;
end:
  do
  :: dead_here != 0 ->
     seat = 1;
     do
     :: !(dead_here & (1 << seat)) -> seat++
     :: else -> break
     od;
     w = job;
     if
     :: state(w) == LEASED && seat_of(w) == seat ->
        atomic { if :: job == w -> job = make(READY, 0, token_of(w)) :: else fi }
     :: state(w) == FORWARDED && seat_of(w) == seat ->
#ifdef FORWARDED_RETURNED
        atomic { if :: job == w -> job = make(READY, 0, token_of(w)) :: else fi }
#else
#ifndef FORWARDED_FREED
        f = forward;
        assert((f >> 8) == token_of(w) || stuck);
        publish(f & 15, make(PROMISED, seat, (f >> 4) & 15));
#endif
        atomic { if :: job == w -> job = make(FREE, 0, token_of(w)) :: else fi }
#endif
     :: else
     fi;
     if
     :: atomic { dead_here = dead_here & ~(1 << seat); seat = 0; w = 0; f = 0 }
     :: restarts < RESTARTS -> restarts++
     fi
  od
}

/* Of the target. */
proctype UndertakerThere() {
  byte seat, r;
  short w;
  bool done;
end:
  do
  :: dead_there != 0 ->
     seat = 1;
     do
     :: !(dead_there & (1 << seat)) -> seat++
     :: else -> break
     od;
     r = 0;
     do
     :: r < RESULTS ->
        w = result[r];
        if
        :: state(w) == WRITING && seat_of(w) == seat ->
           atomic { if :: result[r] == w -> result[r] = make(FREE, 0, token_of(w)) :: else fi }
#ifndef PROMISES_LEFT
        :: state(w) == PROMISED && seat_of(w) == seat ->
#ifdef PROMISES_FREED
           done = false;
#elif defined(PROMISES_PUBLISHED)
           done = true;
#else
           done = is_forwarded(job, promised_by[r]);
#endif
           if
           :: done -> publish(r, w)
           :: else -> atomic { if :: result[r] == w -> result[r] = make(FREE, 0, token_of(w)) :: else fi }
           fi
#endif
        :: else
        fi;
        atomic { w = 0; done = false; r++ }
     :: else -> break
     od;
     if
     :: atomic { dead_there = dead_there & ~(1 << seat); seat = 0; r = 0 }
     :: restarts < RESTARTS -> restarts++
     fi
  od
}

/* A worker that is never killed takes what is left, when all others have ended. */
init {
  byte i;
  atomic {
    for (i : 1 .. WORKERS) { run Worker(i) }
    run Consumer();
    if
    :: EXPIRIES > 0 -> run Clock()
    :: else
    fi;
    if
    :: DEATHS > 0 -> run UndertakerHere(); run UndertakerThere(); run Killer()
    :: else
    fi
  }
  at_work == 0 && dead_here == 0 && dead_there == 0;
  if
  :: state(job) == READY -> atomic { at_work++; run Worker(WORKERS + 1) }
  :: else
  fi;
  at_work == 0;
  /* The consumer has taken what is ready. */
  i = 0;
  do
  :: i < RESULTS -> ensure(state(result[i]) == FREE || state(result[i]) == READY, stuck); i++
  :: else -> break
  od;
  ensure(state(job) == FREE, stuck);
  ensure(taken == 1 || state(result[0]) == READY || state(result[1]) == READY, lost)
}
