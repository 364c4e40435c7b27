/*
 * Calls: does every call have one outcome, and is it the truth?
 *
 * Mirrors
 *   native/include/millrace/rpc/   a caller's try_call, poll, release, withdraw, cancel; a server's serve, try_take, start, answer; the undertaker
 *
 * The word of a slot is the truth: who changes it from exactly what it was decides. Answer and cancellation exclude each
 * other so; what is answered is the caller's, who is told by a bit for the slot and a wake-up of its own. That a call has started
 * is written before its handler begins, and stays when the call goes to another server. Whether anybody serves is looked at
 * before a call is made and again by whoever lies down.
 *
 * Memory is sequentially consistent: bits, words, `serves` and `parked` are changed and looked at so.
 *
 * Properties: a call has one outcome, of its own answer (wrong); it does not say 'not executed' of what has started (untrue);
 * who may be called once is called once (twice); nobody sleeps while there is something for it, or nobody is left who could do
 * something (invalid end state); in the end all slots are free (leaked).
 *
 * Bounds: CALLERS make CALLS each, which are IDEMPOTENT or not, in SLOTS slots; each may cancel (CANCELS); SERVERS take
 * what there is, and may stop (STOPS); DEATHS of VICTIMS are killed at any step, RESTARTS undertakers are, too.
 *
 * run two-servers      -DSERVERS=2 -DCALLS=2
 * run two-callers      -DCALLERS=2 -DSLOTS=2
 * run cancels          -DSERVERS=2 -DCALLS=2 -DCANCELS=1
 * run busy             -DCALLERS=2 -DCANCELS=1
 * run server-leaves    -DCALLS=2 -DCANCELS=1 -DSTOPS=1
 * run two-leave        -DSERVERS=2 -DSTOPS=2
 * run dies             -DCALLS=2 -DDEATHS=1 -DCANCELS=1
 * run idempotent-dies  -DCALLS=2 -DDEATHS=1 -DCANCELS=1 -DIDEMPOTENT
 * run both-die         -DDEATHS=2 -DRESTARTS=1 -DCANCELS=1
 * run another-takes    -DSERVERS=2 -DDEATHS=1 -DFIRST_VICTIM=2 -DLAST_VICTIM=2
 * deep another-takes   -DSERVERS=2 -DDEATHS=1 -DCANCELS=1 -DIDEMPOTENT
 * deep another-calls   -DCALLERS=2 -DDEATHS=1 -DCANCELS=1
 * broken ANSWERED_UNCOMPARED  leaked            | an answer is written whatever the word says | -DCALLERS=2 -DCANCELS=1
 * broken CANCELLED_BESIDE     leaked            | a caller cancels beside the word | -DCANCELS=1
 * broken STARTED_AFTERWARDS   twice             | that a call has started is written when its handler has run | -DSERVERS=2 -DDEATHS=1 -DFIRST_VICTIM=2 -DLAST_VICTIM=2
 * broken RETURNED_ANYHOW      twice             | what a dead server had started goes to another one | -DSERVERS=2 -DDEATHS=1 -DFIRST_VICTIM=2 -DLAST_VICTIM=2
 * broken STARTED_FORGOTTEN    untrue            | what went back to its place counts as never started | -DDEATHS=1 -DIDEMPOTENT
 * broken WORD_BEFORE_BIT      invalid end state | the word is looked at before the bit is cleared | -DCALLS=2 -DSERVERS=2 -DDEATHS=1 -DFIRST_VICTIM=2 -DLAST_VICTIM=2
 * broken BIT_BEFORE_ANSWER    invalid end state | the bit is set before the word says that it is answered | -DCALLS=1
 * broken NO_LOOK_WHEN_PARKED  invalid end state | a caller lies down without another look | -DCALLS=1
 * broken SERVERS_LOOKED_AT_ONCE invalid end state | who lies down does not look whether anybody still serves | -DSTOPS=1
 * broken LEFT_UNTOLD          invalid end state | the last server leaves and tells nobody | -DSTOPS=1
 * broken RETURNED_UNTOLD      invalid end state | nobody is woken for a call that went back to its place | -DDEATHS=1
 * broken ANSWERED_UNTOLD      invalid end state | nobody tells of an answer whose server died before it had told | -DDEATHS=1
 */

#ifndef SLOTS
#define SLOTS 1
#endif
#ifndef CALLERS
#define CALLERS 1
#endif
#ifndef CALLS
#define CALLS 1
#endif
#ifndef SERVERS
#define SERVERS 1
#endif
#ifndef CANCELS
#define CANCELS 0
#endif
#ifndef STOPS
#define STOPS 0
#endif
#ifndef DEATHS
#define DEATHS 0
#endif
#ifndef RESTARTS
#define RESTARTS 0
#endif
#ifndef FIRST_VICTIM
#define FIRST_VICTIM 1
#endif
#ifndef LAST_VICTIM
#define LAST_VICTIM SEATS
#endif
#define SEATS (CALLERS + SERVERS)
#define NONE 255

bool wrong, untrue, twice, leaked;
#define ensure(condition, otherwise) assert((condition) || otherwise)

/* A word: state 3, seat 3, died 1, token. */
#define FREE 0
#define WRITING 1
#define READY 2
#define LEASED 3
#define CANCELLED 4
#define ANSWERED 5
#define state(w) ((w) & 7)
#define seat_of(w) (((w) >> 3) & 7)
#define has_died(w) (((w) >> 6) & 1)
#define token_of(w) ((w) >> 7)
#define make(s, seat, died, token) ((s) | (seat) << 3 | (died) << 6 | (token) << 7)

short word[SLOTS];
byte caller_of[SLOTS], request[SLOTS], reply[SLOTS];
bool started[SLOTS];             /* survives its server */
#ifdef CANCELLED_BESIDE
bool beside[SLOTS];
#endif
byte bits[SEATS + 1];            /* for each seat, of the slots that are answered */
bool serves[SEATS + 1], parked[SEATS + 1];

/* For the properties alone. */
byte calls;
byte runs[CALLERS * CALLS + 1];
byte cancels, stops, deaths, restarts, kill, dead, home;
byte calling = CALLERS;

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

#define is_served (serves[CALLERS + 1] || serves[SEATS])

/* Wakes one that sleeps for calls, as work-wake.pml has it. */
inline wake_a_server() {
  i = CALLERS + 1;
  do
  :: i <= SEATS ->
     atomic {
       ok = parked[i];
       parked[i] = false
     }
     if
     :: ok -> break
     :: else -> i++
     fi
  :: else -> break
  od;
  i = 0
}

inline wake_all(first, final) {
  i = first;
  do
  :: i <= final -> parked[i] = false; i++
  :: else -> break
  od;
  i = 0
}

/* The one outcome of call `n`. */
inline outcome(whose, was_executed) {
  d_step {
    ensure((whose) == n, wrong);
    ensure(was_executed || runs[n] == 0, untrue);
    n = 0
  }
}

/* Takes the call back, for whatever reason. n == 0: it had its outcome. */
inline withdraw(although_it_runs) {
  do
  :: w = word[mine];
     if
     :: state(w) == READY ->
        began = started[mine];
        swap(word[mine], w, make(FREE, 0, 0, token_of(w)));
        if
        :: ok ->
#ifdef STARTED_FORGOTTEN
           outcome(n, false);
#else
           outcome(n, began);
#endif
           break
        :: else
        fi
     :: state(w) == LEASED && although_it_runs ->
#ifdef CANCELLED_BESIDE
        beside[mine] = true; outcome(n, true); break
#else
        swap(word[mine], w, make(CANCELLED, seat_of(w), 0, token_of(w)));
        if
        :: ok -> outcome(n, true); break   /* and its server is told */
        :: else
        fi
#endif
     :: else -> break   /* answered */
     fi
  od;
  atomic { w = 0; began = false; ok = false }
}

/* Takes an answer, if there is one. */
inline poll() {
  if
  :: bits[me] & (1 << mine) ->
#ifdef WORD_BEFORE_BIT
     w = word[mine];
     atomic { bits[me] = bits[me] & ~(1 << mine) };
#else
     atomic { bits[me] = bits[me] & ~(1 << mine) };
     w = word[mine];
#endif
     if
     :: state(w) == ANSWERED && seat_of(w) == me ->
        if
        :: has_died(w) -> outcome(n, true)
        :: else -> outcome(reply[mine], true)
        fi;
        swap(word[mine], w, make(FREE, 0, 0, token_of(w)))
     :: else
     fi;
     w = 0
  :: else
  fi
}

proctype Caller(byte me) MORTAL {
  byte made, n, mine, s, i;
  short w;
  bool ok, began;
  {
    do
    :: made < CALLS ->
       made++;
       mine = NONE;
       if
       :: !is_served   /* no responder */
       :: else ->
          atomic {
            s = 0;
            do
            :: s < SLOTS && state(word[s]) == FREE ->
               mine = s;
               word[s] = make(WRITING, me, 0, token_of(word[s]) + 1);
               break
            :: s < SLOTS && state(word[s]) != FREE -> s++
            :: s == SLOTS -> break   /* busy */
            od;
            s = 0
          }
       fi;
       if
       :: mine == NONE
       :: else ->
          atomic {
            calls++;
            n = calls;
            caller_of[mine] = me;
            request[mine] = n;
            started[mine] = false
          }
          w = word[mine];
          word[mine] = make(READY, me, 0, token_of(w));
          w = 0;
          wake_a_server();
          do
          :: n != 0 ->
             poll();
             if
             :: n != 0 && cancels < CANCELS -> cancels++; withdraw(true)
             :: n != 0 && !is_served -> withdraw(false)
             :: else
             fi;
#ifdef NO_LOOK_WHEN_PARKED
             if
             :: n != 0 && is_served -> parked[me] = true
             :: else
             fi;
#else
             if
             :: n != 0 ->
                parked[me] = true;
                if
                :: bits[me] & (1 << mine) -> parked[me] = false
#ifndef SERVERS_LOOKED_AT_ONCE
                :: !(bits[me] & (1 << mine)) ->
                   if
                   :: !is_served -> w = word[mine]
                   :: else
                   fi;
                   if
                   :: state(w) == READY -> parked[me] = false
                   :: else
                   fi;
                   w = 0
#else
                :: else
#endif
                fi
             :: else
             fi;
#endif
             if
             :: n != 0 -> !parked[me]
             :: else
             fi
          :: else -> break
          od
       fi;
       atomic { mine = 0; ok = false; parked[me] = false }
    :: else -> break
    od;
    atomic { calling--; home = home | (1 << me) }
  } DIES
}

/* What is ready is this server's: `mine`, whose word is `w` then; or NONE. */
inline take() {
  mine = NONE;
  s = 0;
  do
  :: s < SLOTS && mine == NONE ->
     w = word[s];
     if
     :: state(w) == READY ->
        v = make(LEASED, me, 0, token_of(w) + 1);
        swap(word[s], w, v);
        if
        :: ok -> mine = s; w = v
        :: else
        fi;
        v = 0
     :: else
     fi;
     s++
  :: else -> break
  od;
  s = 0
}

inline run_handler() {
  atomic {
    n = request[mine];
    runs[n]++;
#ifndef IDEMPOTENT
    ensure(runs[n] == 1, twice);
#endif
    n = 0
  }
}

inline answer() {
  reply[mine] = request[mine];
  n = caller_of[mine];
#ifdef CANCELLED_BESIDE
  if
  :: beside[mine] -> ok = false
  :: else ->
#endif
#ifdef ANSWERED_UNCOMPARED
  word[mine] = make(ANSWERED, n, 0, token_of(w)); ok = true;
#else
#ifdef BIT_BEFORE_ANSWER
  atomic { bits[n] = bits[n] | (1 << mine) };
#endif
  swap(word[mine], w, make(ANSWERED, n, 0, token_of(w)));
#endif
#ifdef CANCELLED_BESIDE
  fi;
#endif
  if
  :: ok ->
#ifndef BIT_BEFORE_ANSWER
     atomic { bits[n] = bits[n] | (1 << mine) };
#endif
     parked[n] = false
  :: else ->
     w = word[mine];
#ifdef CANCELLED_BESIDE
     word[mine] = make(FREE, 0, 0, token_of(w)); beside[mine] = false
#else
     if
     :: state(w) == CANCELLED && seat_of(w) == me -> word[mine] = make(FREE, 0, 0, token_of(w))
     :: else
     fi
#endif
  fi;
  n = 0
}

proctype Server(byte me) MORTAL {
  byte mine, s, i, n;
  short w, v;
  bool ok, stopping;
  {
    serves[me] = true;
    do
    :: !stopping ->
       take();
       if
       :: mine != NONE ->
          if
          :: state(word[mine]) == CANCELLED
          :: state(word[mine]) != CANCELLED ->
#ifdef STARTED_AFTERWARDS
             run_handler();
             started[mine] = true
#else
             started[mine] = true;
             run_handler()
#endif
          fi;
          answer()
       :: else ->
          parked[me] = true;
          s = 0;
          do
          :: s < SLOTS && state(word[s]) != READY -> s++
          :: else -> break
          od;
          if
          :: s < SLOTS -> parked[me] = false
          :: else ->
             if
             :: !parked[me] || (calling == 0 && unburied == 0)
             :: stops < STOPS -> stops++; stopping = true
             fi;
             if
             :: calling == 0 && unburied == 0 -> stopping = true
             :: else
             fi
          fi;
          parked[me] = false
       fi;
       atomic { mine = 0; w = 0; v = 0; s = 0; ok = false }
    :: else -> break
    od;
    serves[me] = false;
    wake_a_server();
#ifndef LEFT_UNTOLD
    wake_all(1, CALLERS);
#endif
    atomic { home = home | (1 << me); i = 0; ok = false }
  } DIES
}

inline tell(caller) {
  atomic { bits[caller] = bits[caller] | (1 << s) };
  parked[caller] = false
}

/* Of the dead `seat` in slot `s`. */
inline bury_in_slot() {
  w = word[s];
  ok = true;
  if
  :: state(w) == WRITING && seat_of(w) == seat -> swap(word[s], w, make(FREE, 0, 0, token_of(w)))
  :: state(w) == READY && caller_of[s] == seat -> swap(word[s], w, make(FREE, 0, 0, token_of(w)))
  :: state(w) == LEASED && seat_of(w) == seat ->
#ifdef IDEMPOTENT
     swap(word[s], w, make(READY, caller_of[s], 0, token_of(w)))
#else
     if
#ifndef RETURNED_ANYHOW
     :: started[s] ->
        n = caller_of[s];
        swap(word[s], w, make(ANSWERED, n, 1, token_of(w)));
        if
        :: ok -> tell(n)
        :: else
        fi;
        n = 0
#endif
     :: else -> swap(word[s], w, make(READY, caller_of[s], 0, token_of(w)))
     fi
#endif
  :: state(w) == LEASED && seat_of(w) != seat && caller_of[s] == seat ->
     swap(word[s], w, make(CANCELLED, seat_of(w), 0, token_of(w)))
  :: state(w) == CANCELLED && seat_of(w) == seat -> swap(word[s], w, make(FREE, 0, 0, token_of(w)))
  :: state(w) == ANSWERED && seat_of(w) == seat -> swap(word[s], w, make(FREE, 0, 0, token_of(w)))
#ifndef ANSWERED_UNTOLD
  :: state(w) == ANSWERED && seat_of(w) != seat -> n = seat_of(w); tell(n); n = 0
#endif
  :: else
  fi
}

proctype Undertaker() {
  byte s, i, n, seat;
  short w;
  bool ok;
end:
  do
  :: dead != 0 ->
     seat = 1;
     do
     :: !(dead & (1 << seat)) -> seat++
     :: else -> break
     od;
     serves[seat] = false;
     s = 0;
     do
     :: s < SLOTS ->
        bury_in_slot();
        if
        :: ok -> s++
        :: else
        fi;
        if
        :: restarts < RESTARTS -> restarts++; s = 0
        :: true
        fi
     :: else -> break
     od;
#ifndef RETURNED_UNTOLD
     wake_all(1, SEATS);
#endif
     if
     :: seat <= CALLERS -> calling--
     :: else
     fi;
     atomic { dead = dead & ~(1 << seat); seat = 0; s = 0; w = 0; ok = false; i = 0 }
  od
}

proctype Killer() {
  byte who;
end:
  do
  :: atomic { deaths < DEATHS && calling > 0 && kill == 0 ->
       select (who : FIRST_VICTIM .. LAST_VICTIM);
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
    for (i : 1 .. CALLERS) { run Caller(i) }
    for (i : CALLERS + 1 .. SEATS) { run Server(i); serves[i] = true }
    if
    :: DEATHS > 0 -> run Undertaker(); run Killer()
    :: else
    fi
  }
  (home | 1) == (1 << (SEATS + 1)) - 1 && calling == 0 && unburied == 0;
  i = 0;
  do
  :: i < SLOTS -> ensure(state(word[i]) == FREE, leaked); i++
  :: else -> break
  od
}
