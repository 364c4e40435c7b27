/*
 * Calls: does every call have one outcome, and is it the truth?
 *
 * Mirrors
 *   native/include/millrace/rpc/call_store.hpp   ask, poll, release, withdraw, take, start, answer
 *   native/include/millrace/rpc/call_steps.hpp   end_unserved, tell, resolve, end_as, cancel, return_to_caller
 *   native/include/millrace/rpc/call_queue.hpp   try_call, serve
 *   native/include/millrace/rpc/call_burial.hpp  repair, repair_slot, end_lease, unwant
 *
 * The word of a slot is the truth: who changes it from exactly what it was decides. Answer and cancellation exclude each
 * other so; what is answered is the caller's, who is told by a bit for the slot and a wake-up of its own. That a call has started
 * is in the word before its handler begins, and that it has been tried stays when the call goes to another server. Whether
 * anybody serves is looked at before a call is made and again when it can be found; the last one that serves, or whoever buries
 * it, ends what is left.
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
 * broken STARTED_AFTERWARDS   twice             | that a call has started is said when its handler has run | -DSERVERS=2 -DDEATHS=1 -DFIRST_VICTIM=2 -DLAST_VICTIM=2
 * broken RETURNED_ANYHOW      twice             | what a dead server had started goes to another one | -DSERVERS=2 -DDEATHS=1 -DFIRST_VICTIM=2 -DLAST_VICTIM=2
 * broken STARTED_FORGOTTEN    untrue            | what went back to its place, and finds no other server, counts as never started | -DDEATHS=1 -DIDEMPOTENT
 * broken WORD_BEFORE_BIT      invalid end state | the word is looked at before the bit is cleared | -DCALLS=2 -DSERVERS=2 -DDEATHS=1 -DFIRST_VICTIM=2 -DLAST_VICTIM=2
 * broken BIT_BEFORE_ANSWER    invalid end state | the bit is set before the word says that it is answered | -DCALLS=1
 * broken NO_LOOK_WHEN_PARKED  invalid end state | a caller lies down without another look | -DCALLS=1
 * broken SERVERS_LOOKED_AT_ONCE invalid end state | who has made a call does not look once more whether anybody serves | -DSTOPS=1
 * broken LEFT_UNTOLD          invalid end state | the last server leaves and ends nothing | -DSTOPS=1
 * broken RETURNED_UNTOLD      invalid end state | nobody is woken for a call that went back to its place | -DSERVERS=2 -DDEATHS=1 -DFIRST_VICTIM=2 -DLAST_VICTIM=2
 * broken UNSERVED_LEFT        invalid end state | who buries the last server does not end what it leaves | -DDEATHS=1
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

/* A word: state 3, seat 3 (of whoever it is with), end 2, started 1, tried 1, token. */
#define FREE 0
#define WRITING 1
#define READY 2
#define LEASED 3
#define CANCELLED 4
#define ANSWERED 5
#define state(w) ((w) & 7)
#define seat_of(w) (((w) >> 3) & 7)
#define end_of(w) (((w) >> 6) & 3)
#define has_started(w) (((w) >> 8) & 1)
#define was_tried(w) (((w) >> 9) & 1)
#define token_of(w) ((w) >> 10)
#define make(s, seat, e, token) ((s) | (seat) << 3 | (e) << 6 | (token) << 10)
#define tried(w) ((w) & (1 << 9))
#define begun (3 << 8)
#define BY_HANDLER 0
#define DIED 1
#define UNSERVED 2

int word[SLOTS];
byte caller_of[SLOTS], request[SLOTS], reply[SLOTS];
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

/* The one outcome of call `n`. */
inline outcome(whose, was_executed) {
  d_step {
    ensure((whose) == n, wrong);
    ensure(was_executed || runs[n] == 0, untrue);
    n = 0
  }
}

inline tell(slot, who) {
  atomic { bits[who] = bits[who] | (1 << (slot)) };
  parked[who] = false
}

/* Nobody serves: what waits has its end. */
inline end_unserved() {
  j = 0;
  do
  :: j < SLOTS ->
     w = word[j];
     if
     :: state(w) == READY ->
        k = seat_of(w);
#ifdef STARTED_FORGOTTEN
        swap(word[j], w, make(ANSWERED, k, UNSERVED, token_of(w)));
#else
        swap(word[j], w, make(ANSWERED, k, (was_tried(w) -> DIED : UNSERVED), token_of(w)));
#endif
        if
        :: ok -> tell(j, k)
        :: else
        fi
     :: else
     fi;
     j++
  :: else -> break
  od;
  atomic { j = 0; k = 0; w = 0; ok = false }
}

/* Takes the call back, for whatever reason. n == 0: it had its outcome. */
inline withdraw() {
  do
  :: w = word[mine];
     if
     :: state(w) == READY ->
        swap(word[mine], w, make(FREE, 0, 0, token_of(w)));
        if
        :: ok -> outcome(n, was_tried(w)); break
        :: else
        fi
     :: state(w) == LEASED ->
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
  atomic { w = 0; ok = false }
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
        :: end_of(w) == DIED -> outcome(n, true)
        :: end_of(w) == UNSERVED -> outcome(n, false)
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
  byte made, n, mine, s, i, j, k;
  int w;
  bool ok;
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
            request[mine] = n
          }
          w = word[mine];
          word[mine] = make(READY, me, 0, token_of(w));
          w = 0;
          wake_a_server();
#ifndef SERVERS_LOOKED_AT_ONCE
          if
          :: !is_served -> end_unserved()
          :: else
          fi;
#endif
          do
          :: n != 0 ->
             poll();
             if
             :: n != 0 && cancels < CANCELS -> cancels++; withdraw()
             :: true
             fi;
             if
             :: n != 0 ->
                parked[me] = true;
#ifndef NO_LOOK_WHEN_PARKED
                if
                :: bits[me] & (1 << mine) -> parked[me] = false
                :: else
                fi;
#endif
                !parked[me]
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
        v = make(LEASED, me, 0, token_of(w) + 1) | tried(w);
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
  byte mine, s, i, n, j, k;
  int w, v;
  bool ok, stopping;
  {
    serves[me] = true;
    do
    :: !stopping ->
       take();
       if
       :: mine != NONE ->
#ifdef STARTED_AFTERWARDS
          run_handler();
          ok = false;
          swap(word[mine], w, w | begun);
          w = (ok -> w | begun : w);
          ok = true;
#else
          swap(word[mine], w, w | begun);
          if
          :: ok -> w = w | begun; run_handler()
          :: else
          fi;
#endif
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
    if
    :: !is_served -> end_unserved()
    :: else
    fi;
#endif
    atomic { home = home | (1 << me); i = 0; ok = false }
  } DIES
}

/* Of the dead `seat` in slot `s`. */
inline bury_in_slot() {
  w = word[s];
  ok = true;
  if
  :: state(w) == WRITING && seat_of(w) == seat -> swap(word[s], w, make(FREE, 0, 0, token_of(w)))
  :: state(w) == READY && seat_of(w) == seat -> swap(word[s], w, make(FREE, 0, 0, token_of(w)))
  :: state(w) == LEASED && seat_of(w) == seat ->
#ifdef IDEMPOTENT
     swap(word[s], w, make(READY, caller_of[s], 0, token_of(w)) | tried(w))
#else
     if
#ifndef RETURNED_ANYHOW
     :: has_started(w) ->
        n = caller_of[s];
        swap(word[s], w, make(ANSWERED, n, DIED, token_of(w)));
        if
        :: ok -> tell(s, n)
        :: else
        fi;
        n = 0
#endif
     :: else -> swap(word[s], w, make(READY, caller_of[s], 0, token_of(w)) | tried(w))
     fi
#endif
  :: state(w) == LEASED && seat_of(w) != seat && caller_of[s] == seat ->
     swap(word[s], w, make(CANCELLED, seat_of(w), 0, token_of(w)))
  :: state(w) == CANCELLED && seat_of(w) == seat -> swap(word[s], w, make(FREE, 0, 0, token_of(w)))
  :: state(w) == ANSWERED && seat_of(w) == seat -> swap(word[s], w, make(FREE, 0, 0, token_of(w)))
#ifndef ANSWERED_UNTOLD
  :: state(w) == ANSWERED && seat_of(w) != seat -> n = seat_of(w); tell(s, n); n = 0
#endif
  :: else
  fi
}

proctype Undertaker() {
  byte s, i, j, k, n, seat;
  int w;
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
     wake_a_server();
#endif
#ifndef UNSERVED_LEFT
     if
     :: !is_served -> end_unserved()
     :: else
     fi;
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
