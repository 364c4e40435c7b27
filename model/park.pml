/*
 * Parking and waking: is a wake-up ever lost?
 *
 * Mirrors, statement by statement,
 *   native/include/millrace/waiting.hpp         Sleeper::Sleeper, park_on_bell, park_on_futex, unpark, sleeper_fence,
 *                                               wait_blocking, wait_slice; Waker::peer_sleeps, fence, wake
 *   native/include/millrace/os/linux/fence.hpp  register_light_fence, finish_fence_registration, light_fence,
 *                                               heavy_fence, asymmetric_fence_available
 *
 * A sleeper waits for what wakers publish (a position, a bit; here a count each). It parks, looks once more and
 * sleeps; who publishes looks whether it is parked. Of a sleeper on many lines, which fences once for all of them
 * (announce_on_bell), each line sees just this: parked, a fence some time later, one more look. Nobody has a time-out: a lost wake-up is a deadlock
 * ("invalid end state"). In the product a slice of 20 ms would end it, which must not be what it relies on.
 *
 * Memory. A thread that has not been told of the newest value of a location may read it or an older one, for ever
 * so long. What a release store leaves behind tells whoever acquires it all that its writer knew; a full fence
 * joins what the thread knows with what all full fences knew, both ways. So stores become visible late and in any
 * order, as in C++ without cycles of speculation (Kang et al., "A promising semantics for relaxed-memory
 * concurrency", 2017, without promises; Lahav et al., "Repairing sequential consistency in C/C++11", 2017).
 * membarrier is a full fence here, and then one in each registered process.
 *
 * Time. "A millisecond is ample" (sleeper_fence) is an assumption of the code, and so of the model: when the
 * millisecond is over, what was published before is visible to the sleeper, and `needs_full_fence` to wakers.
 *
 * Bounds: WAKERS threads of different processes, each publishing MESSAGES times and registering for the light
 * fence at any moment or never; a sleeper that may fence heavily or not, is refused it at any time (REFUSALS),
 * and is replaced (DEATHS) by one with another doorbell, after being killed at any statement. A waker that still
 * has something to publish may find no descriptor to ring with (STARVATIONS).
 *
 * run doorbell       -DMESSAGES=2 -DREFUSALS=1
 * run replaced       -DMESSAGES=1 -DREFUSALS=1 -DDEATHS=1
 * run futex          -DMESSAGES=2 -DREFUSALS=1 -DFUTEX
 * run starved        -DMESSAGES=2 -DSTARVATIONS=1
 * deep replaced      -DMESSAGES=2 -DREFUSALS=1 -DDEATHS=1
 * deep two-wakers    -DWAKERS=2 -DMESSAGES=1
 * deep three-rounds  -DMESSAGES=3 -DREFUSALS=2
 * deep starved       -DMESSAGES=2 -DSTARVATIONS=1 -DDEATHS=1
 * broken NO_HEAVY_FENCE         invalid end state | the sleeper looks again without a fence
 * broken NO_BARRIER             invalid end state | the sleeper fences in full, but lets nobody else do so
 * broken ALWAYS_LIGHT           invalid end state | a waker that is not registered fences lightly all the same
 * broken REGISTERED_TOO_EARLY   invalid end state | the flag is set before the system call
 * broken RELAXED_REGISTRATION   invalid end state | light_fence loads the flag relaxed
 * broken LOOK_BEFORE_PARKING    invalid end state | the sleeper looks before it says that it is parked
 * broken LOOK_BEFORE_PUBLISH    invalid end state | the waker looks before it publishes
 * broken NO_FALLBACK            invalid end state | a heavy fence that was refused is ignored
 * broken MILLISECOND_OF_ANOTHER invalid end state | a flag that is set already is taken for one that was waited for | -DMESSAGES=2 -DDEATHS=1
 * broken NO_MILLISECOND         invalid end state | needs_full_fence is set, and looked past, without a pause
 * broken FLAG_ONLY_OF_OWN_SIDE  invalid end state | wakers do not look at needs_full_fence
 * broken RELAXED_TAKING         invalid end state | the waker takes `parked` without acquire | -DMESSAGES=2 -DDEATHS=1
 * broken STARVED_FORGETS        invalid end state | who cannot ring lets the sleeper count as awake | -DMESSAGES=2 -DSTARVATIONS=1
 * broken FUTEX_WITHOUT_COMPARE  invalid end state | the kernel does not compare before it sleeps | -DFUTEX
 */

#ifndef WAKERS
#define WAKERS 1
#endif
#ifndef MESSAGES
#define MESSAGES 2
#endif
#ifndef REFUSALS
#define REFUSALS 0
#endif
#ifndef DEATHS
#define DEATHS 0
#endif
#ifndef STARVATIONS
#define STARVATIONS 0
#endif

#define SLEEPER WAKERS           /* who knows: wakers come first, */
#define FENCES (WAKERS + 1)      /* what all full fences knew, */
#define REGISTRATION(w) (WAKERS + 2 + w) /* and what the registration of a waker's process did */
#define KNOWERS (2 * WAKERS + 2)

#define later(a, b) ((a) > (b) -> (a) : (b))

typedef Knowledge {
  byte published[WAKERS];  /* the oldest count that may still be read */
  byte doorbell;           /* likewise: of the n-th sleeper */
  bool parked_old;         /* `parked` may be read as it was before */
  bool needs_old           /* and so may `needs_full_fence` */
}
Knowledge know[KNOWERS];

/* The newest values. */
byte published[WAKERS];
byte doorbell;
bool parked;
byte starvations;          /* rings that found no descriptor so far */
byte parked_doorbell;           /* the doorbell that who acquires `parked` learns of */
bool needs;

bool in_kernel[WAKERS];         /* registered for expedited barriers */
bool flag[WAKERS];              /* FenceState::registered: private to the process of the waker */

bool available;                 /* asymmetric_fence_available() of the sleeper */
byte refusals, deaths;
byte consumed[WAKERS];
bool bell;                      /* there is something to read in the FIFO of the living sleeper */
bool asleep;                    /* in the futex */
bool kill_sleeper, gone;

inline learn(who, from) {
  d_step {
    for (j : 0 .. WAKERS - 1) {
      know[who].published[j] = later(know[who].published[j], know[from].published[j])
    }
    know[who].doorbell = later(know[who].doorbell, know[from].doorbell);
    know[who].parked_old = know[who].parked_old && know[from].parked_old;
    know[who].needs_old = know[who].needs_old && know[from].needs_old;
    j = 0
  }
}

inline full_fence(who) { atomic { learn(FENCES, who); learn(who, FENCES) } }

/* Any of the values that may still be read. */
inline load_flag(value, newest, old) {
  if
  :: value = newest
  :: old -> value = !newest
  fi
}
inline load_count(value, newest, oldest) {
  atomic {
    value = oldest;
    do
    :: value < newest -> value++
    :: break
    od;
    oldest = value
  }
}

inline store_parked(who, value) {
  d_step {
    if
    :: parked != value -> for (j : 0 .. KNOWERS - 1) { know[j].parked_old = true }
    :: else
    fi;
    parked = value;
    know[who].parked_old = false;
    j = 0
  }
}
inline store_needs(value) {
  d_step {
    if
    :: needs != value -> for (j : 0 .. KNOWERS - 1) { know[j].needs_old = true }
    :: else
    fi;
    needs = value;
    know[SLEEPER].needs_old = false;
    j = 0
  }
}

/* os::heavy_fence(): `done` is what it returns. */
inline heavy_fence() {
  full_fence(SLEEPER);
  done = false;
  if
  :: available -> done = true
  :: available && refusals < REFUSALS -> refusals++
  :: !available
  fi;
  if
  :: done ->
     k = 0;
     do
     :: k < WAKERS ->
#ifndef NO_BARRIER
        if
        :: atomic { in_kernel[k] -> full_fence(k) }
        :: else
        fi;
#endif
        k++
     :: k == WAKERS -> break
     od;
     k = 0;
     full_fence(SLEEPER)
  :: else
  fi
}

inline sleeper_fence() {
#ifdef NO_HEAVY_FENCE
  skip;
#else
  heavy_fence();
#ifndef NO_FALLBACK
  if
  :: done
  :: else ->
     atomic { done = needs; store_needs(true); full_fence(SLEEPER) }
     if
#ifdef MILLISECOND_OF_ANOTHER
     :: done
#else
     :: done && waited
#endif
     :: else ->
#ifndef NO_MILLISECOND
        atomic {
          waited = true;
          for (k : 0 .. WAKERS - 1) {
            know[SLEEPER].published[k] = published[k];
            know[k].needs_old = false
          }
          k = 0
        }
#else
        skip
#endif
     fi
  fi;
#endif
  done = false
#endif
}

/* What the sleeper waits for: ready, or not yet. */
inline look() {
  atomic {
    ready = false;
    k = 0;
    do
    :: k < WAKERS ->
       load_count(i, published[k], know[SLEEPER].published[k]);
       if
       :: i > consumed[k] -> consumed[k] = i; ready = true
       :: else
       fi;
       k++
    :: k == WAKERS -> break
    od;
    k = 0; i = 0
  }
}

inline everything_has_come() {
  finished = true;
  for (k : 0 .. WAKERS - 1) { finished = finished && consumed[k] == MESSAGES }
  k = 0
}

inline sleep() {
#ifdef FUTEX
  /* futex_wait: compares with the last value, under the lock that futex_wake takes. */
  atomic {
    if
#ifndef FUTEX_WITHOUT_COMPARE
    :: !parked
    :: else -> asleep = true
#else
    :: true -> asleep = true
#endif
    fi
  }
  !asleep
#else
  atomic { bell -> bell = false }
#endif
}

proctype Sleeper_() {
  bool ready, done, finished, waited;
  byte i, j, k;
  {
    /* Sleeper::Sleeper: available is asked once per process. */
    if
    :: available = true
    :: available = false
    fi;
    store_parked(SLEEPER, false);
    if
    :: available -> store_needs(false)
    :: else
    fi;
    do
    :: look();
       if
       :: ready -> goto again
       :: else
       fi;
       atomic { everything_has_come() }
       if
       :: finished -> break
       :: else
       fi;
       /* park_on_bell, park_on_futex */
#ifdef LOOK_BEFORE_PARKING
       look();
#endif
       d_step { doorbell = deaths + 1; know[SLEEPER].doorbell = doorbell }
       atomic { store_parked(SLEEPER, true); parked_doorbell = know[SLEEPER].doorbell }
       sleeper_fence();
#ifndef LOOK_BEFORE_PARKING
       look();
#endif
       if
       :: ready -> skip
       :: else -> sleep()
       fi;
       store_parked(SLEEPER, false);
again:
    od;
    gone = true
  } unless {
    kill_sleeper ->
    /* The role goes to a successor through the kernel, so that it sees all that its predecessor saw. */
    atomic {
      kill_sleeper = false; bell = false; asleep = false;
      i = 0; j = 0; k = 0; ready = false; done = false; finished = false; waited = false;
      run Sleeper_()
    }
  }
}

proctype Killer() {
end:
  do
  :: atomic { deaths < DEATHS && !gone && !kill_sleeper -> deaths++; kill_sleeper = true }
  od
}

/* Waker::fence and os::light_fence */
inline waker_fence(me) {
#ifdef FLAG_ONLY_OF_OWN_SIDE
  heavily = false;
#else
  load_flag(heavily, needs, know[me].needs_old);
#endif
  if
  :: heavily -> full_fence(me)
  :: else ->
#ifdef ALWAYS_LIGHT
     skip
#else
     if
#ifndef RELAXED_REGISTRATION
     :: flag[me] -> learn(me, REGISTRATION(me))   /* acquire */
#else
     :: flag[me]
#endif
     :: else -> full_fence(me)
     fi
#endif
  fi
}

/* Waker::peer_sleeps */
inline peer_sleeps(me) {
  waker_fence(me);
  load_flag(sleeps, parked, know[me].parked_old)
}

inline wake(me) {
  /* An exchange takes the newest value; acquire. */
  atomic {
    taken = parked;
#ifndef RELAXED_TAKING
    know[me].doorbell = later(know[me].doorbell, parked_doorbell);
#endif
    store_parked(me, false)
  }
  if
  :: taken ->
#ifdef FUTEX
     asleep = false
#else
     if
     :: starvations < STARVATIONS && n < MESSAGES ->
        starvations++;
#ifndef STARVED_FORGETS
        /* compare_exchange: nobody has parked meanwhile; release. What it was told of the address goes on. */
        atomic {
          if
          :: !parked -> store_parked(me, true); parked_doorbell = know[me].doorbell
          :: else
          fi
        }
#else
        skip
#endif
     :: true ->
        load_count(at, doorbell, know[me].doorbell);
        /* The FIFO of a dead sleeper leads nowhere. */
        bell = bell || at == deaths + 1
     fi
#endif
  :: else
  fi
}

proctype Waker_(byte me) {
  byte n, at, j;
  bool heavily, taken, sleeps;
  do
  :: n == MESSAGES -> break
  :: n < MESSAGES ->
     n++;
#ifdef LOOK_BEFORE_PUBLISH
     peer_sleeps(me);
#endif
     d_step { published[me] = n; know[me].published[me] = n }
#ifndef LOOK_BEFORE_PUBLISH
     peer_sleeps(me);
#endif
     if
     :: sleeps -> wake(me)
     :: else
     fi;
     d_step { at = 0; heavily = false; taken = false; sleeps = false }
  od
}

/* finish_fence_registration, on a thread of its own: at any moment, or never. */
proctype Registrar_(byte w) {
  byte j;
  if
  :: true ->
#ifdef REGISTERED_TOO_EARLY
     flag[w] = true;
#endif
     /* Heavy fences that are over passed us by; the system call orders us behind them. */
     atomic { in_kernel[w] = true; learn(REGISTRATION(w), FENCES) }
     flag[w] = true   /* release */
  :: true
  fi
}

init {
  byte w;
  atomic {
    for (w : 0 .. WAKERS - 1) { run Registrar_(w); run Waker_(w) }
    run Sleeper_();
    if
    :: DEATHS > 0 -> run Killer()
    :: else
    fi
  }
}
