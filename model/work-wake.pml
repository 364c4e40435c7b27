/*
 * Waking one at a time: do a job that is ready and somebody who sleeps ever rest together?
 *
 * Mirrors, step by step,
 *   native/include/millrace/work/sleepers.hpp  park_on_bell (enlist, join), unpark (withdraw, hand_on), announce, wake_one,
 *                                              wake_next, first_of, clear_word, pass_on, pass_by, settle, drop_of, bury
 *   native/include/millrace/work/seats.hpp     wake, nudge
 *   native/include/millrace/work/work_queue.hpp  try_take, close
 *
 * A sleeper parks (its line, its bit in the set, the word's bit above it), fences heavily, looks once more, and sleeps. A pusher
 * publishes, fences lightly, and looks at the word alone. One wake-up is in flight: the duty names who was woken; a pusher
 * that finds it young sets `again` and wakes nobody. Whoever was woken takes what it finds, and hands the duty on if there is
 * more. If it finds nothing, and nothing about the duty has changed since it looked, it drops it; otherwise it looks once more.
 *
 * Memory. The heavy fence of a sleeper against the light one of a pusher is that of park.pml: shown there. Here what goes
 * before a full fence is visible after it; between a pusher's store of `ready` and its full fence (W4) it may not be: the
 * job is in its store buffer (`buffered`), which is emptied by any full fence or read-modify-write, or by a sleeper's heavy
 * fence, or at any time.
 *
 * A duty says when it was given, by a clock that ticks every few milliseconds. Here it does not tick: a duty that is given anew
 * is the same again.
 *
 * Time. "Woken more than 5 ms ago" is a question that may be answered either way at any time when AGED; without it the
 * duty is always young, and no wake-up may be lost at all. With deaths, the undertaker announces (bury).
 *
 * WITH_NEWS begins where the first sleeper was woken, and there was news, and others have taken it all.
 *
 * Nobody has a time-out: a job that is left while all sleep is a deadlock ("invalid end state"). In the product, slices of
 * 20 ms and rechecks would mend that.
 *
 * Bounds: SLEEPERS seats that take and settle until all jobs are done; PUSHERS push JOBS each, and do not wait; LEAVERS of the
 * sleepers give up waiting at any time, with a wake-up on its way or not; DEATHS of the sleepers are killed, at the crash points.
 *
 * run one-sleeps       -DSLEEPERS=1 -DJOBS=3
 * run two-push         -DSLEEPERS=1 -DPUSHERS=2 -DJOBS=1
 * run one-leaves       -DSLEEPERS=2 -DJOBS=1 -DLEAVERS=1
 * run with-news        -DSLEEPERS=2 -DJOBS=1 -DWITH_NEWS
 * run aged             -DSLEEPERS=2 -DJOBS=1 -DLEAVERS=1 -DAGED
 * deep two-sleep       -DSLEEPERS=2 -DJOBS=2
 * deep two-push        -DSLEEPERS=2 -DPUSHERS=2 -DJOBS=1
 * deep one-dies        -DSLEEPERS=2 -DJOBS=1 -DDEATHS=1
 * broken DUTY_KEPT         invalid end state | who finds nothing goes to sleep with the duty | -DSLEEPERS=2 -DJOBS=2
 * broken LOOKED_BEFORE     invalid end state | a duty that was given during a look in vain is dropped after it | -DSLEEPERS=2 -DJOBS=1 -DLEAVERS=1
 * broken LOOKED_ONCE       invalid end state | a look is remembered for a duty that is given anew | -DSLEEPERS=2 -DJOBS=2
 * broken NEWS_KEPT         invalid end state | news is looked for, and told of afterwards, without a change of the duty | -DSLEEPERS=2 -DJOBS=1 -DWITH_NEWS
 * broken DUTY_KEPT_LEAVING invalid end state | who gives up waiting goes with the duty | -DSLEEPERS=2 -DJOBS=1 -DLEAVERS=1
 * broken NO_HEAVY_FENCE    invalid end state | a sleeper looks again without a fence | -DSLEEPERS=1 -DJOBS=1
 * broken LOOK_BEFORE_PARK  invalid end state | a sleeper does not look once more when it is parked | -DSLEEPERS=1 -DJOBS=1
 * broken WORD_BY_STORE     invalid end state | an empty word is cleared whoever lay down meanwhile | -DSLEEPERS=2 -DJOBS=2
 * broken CLEARED_AFTERWARDS invalid end state | who leaves looks at the duty before its bit is gone | -DSLEEPERS=2 -DJOBS=1 -DLEAVERS=1
 * broken NOT_LOOKED_AGAIN  invalid end state | a waker does not look whether whom it gave the duty is still in the set | -DSLEEPERS=2 -DJOBS=1 -DLEAVERS=1
 * broken DUTY_OF_THE_DEAD  invalid end state | nobody drops the duty of one that was killed | -DSLEEPERS=2 -DJOBS=1 -DDEATHS=1
 * broken SILENT_BURIAL     invalid end state | the undertaker wakes nobody in the place of the dead | -DSLEEPERS=2 -DJOBS=1 -DDEATHS=1
 */

#ifndef SLEEPERS
#define SLEEPERS 2
#endif
#ifndef PUSHERS
#define PUSHERS 1
#endif
#ifndef JOBS
#define JOBS 2
#endif
#ifndef LEAVERS
#define LEAVERS 0
#endif
#ifndef DEATHS
#define DEATHS 0
#endif
#define NOBODY 255

byte ready;                      /* jobs that are seen by everybody */
byte buffered[PUSHERS];            /* jobs in the store buffer of a pusher */
bool parked[SLEEPERS];           /* its line */
bool bell[SLEEPERS];             /* it was rung */
bool set[SLEEPERS];
bool word;                       /* control.sleepers: somebody may be in the set, */
byte bedtimes;                   /* and how often somebody lay down */
/* The duty */
#ifndef WITH_NEWS
byte seat = NOBODY;              /* who was woken last */
bool on_the_way, again;
#else
byte seat = 0;
bool on_the_way = true, again = true;
#endif

byte leavers, deaths, taken;
byte pushing = PUSHERS;
bool gone[SLEEPERS], dead[SLEEPERS];

#define everything (PUSHERS * JOBS)
/* A sleeper may be killed here. */
#if DEATHS > 0
#define CRASH(who) if :: atomic { deaths < DEATHS && who < SLEEPERS -> deaths++; dead[who] = true; goto died } :: true fi;
#else
#define CRASH(who)
#endif

/* What a look was for is forgotten where its row ends. LOOKED_ONCE begins with a look for a duty that had news. */
#ifndef LOOKED_ONCE
#define REMEMBERED NOBODY
#define FORGET looked = NOBODY
#else
#define REMEMBERED true
#define FORGET skip
#endif

/* A full fence, or a read-modify-write, of a pusher. Others have nothing to hide. */
inline drain(which) {
  d_step {
    if
    :: which < PUSHERS -> ready = ready + buffered[which]; buffered[which] = 0
    :: else
    fi
  }
}

/* drop_of: takes the duty away from a seat that will not do it. `ok`: it had it. */
inline drop_of(which) {
  atomic {
    ok = on_the_way && seat == which;
    if
    :: ok -> on_the_way = false; again = false
    :: else
    fi
  }
}

/* wake_next: gives the duty, which was as this thread has seen it (saw_*), to the next one behind the last, but not to `other`.
   `pusher`: who does so, if it is one. */
inline wake_next(other, pusher) {
  tries = 0;
  did = false;
  do
  /* As many as there are seats. */
  :: tries == SLEEPERS + PUSHERS -> break
  :: tries < SLEEPERS + PUSHERS ->
     tries++;
     /* next_of, first_of: the word, then the set, from behind `saw_seat` on */
     atomic { saw_word = word; saw_bedtimes = bedtimes; next = NOBODY };
     if
     :: !saw_word -> break
     :: else
     fi;
     atomic {
       k = 1;
       do
       :: k <= SLEEPERS && next == NOBODY ->
          i = ((saw_seat == NOBODY -> SLEEPERS - 1 : saw_seat) + k) % SLEEPERS;
          if
          :: set[i] && i != other -> next = i
          :: else
          fi;
          k++
       :: else -> break
       od;
       ok = true;
       k = 0;
       do
       :: k < SLEEPERS -> ok = ok && !set[k]; k++
       :: else -> break
       od;
       k = 0; i = 0
     }
     if
     :: ok ->
        /* clear_word */
        atomic {
          if
#ifdef WORD_BY_STORE
          :: true -> word = false
#else
          :: word == saw_word && bedtimes == saw_bedtimes -> word = false
#endif
          :: else
          fi
        }
     :: else
     fi;
     if
     :: next == NOBODY -> break
     :: else
     fi;
     /* The one before is rung again, before it is replaced. */
     if
     :: saw_on_the_way && saw_seat != other -> bell[saw_seat] = true
     :: else
     fi;
     atomic {
       ok = seat == saw_seat && on_the_way == saw_on_the_way && again == saw_again;
       if
       :: ok -> seat = next; on_the_way = true; again = false
       :: else -> saw_seat = seat; saw_on_the_way = on_the_way; saw_again = again
       fi;
       if
       :: pusher < PUSHERS -> ready = ready + buffered[pusher]; buffered[pusher] = 0
       :: else
       fi
     }
     if
     :: !ok ->
        if
        :: saw_on_the_way && saw_seat != other -> did = true; break
#ifdef AGED
        :: true
#endif
        :: !(saw_on_the_way && saw_seat != other)
        fi
     :: else ->
        CRASH(other)
#ifndef NOT_LOOKED_AGAIN
        ok = set[next];
#endif
        if
        :: ok && !dead[next] ->
           /* Seats::wake; a line that is not parked is rung as well (nudge) */
           atomic { parked[next] = false; bell[next] = true; did = true };
           break
        :: else ->
           drop_of(next);
           if
           :: !ok -> did = true; break
           :: else -> atomic { saw_seat = next; saw_on_the_way = false; saw_again = false }
           fi
        fi
     fi
  od;
  tries = 0; next = 0; ok = false; saw_word = false; saw_bedtimes = 0
}

/* announce */
inline announce(by) {
  /* (W2) is the light fence: what follows it may be read before the job is seen, but for a sleeper's heavy fence. (W3) */
  if
  :: word ->
     /* wake_one: (W4) */
     drain(by);
     atomic { saw_seat = seat; saw_on_the_way = on_the_way; saw_again = again };
     did = false;
     do
     :: !saw_on_the_way -> break
#ifdef AGED
     :: saw_on_the_way -> break
#endif
     :: saw_on_the_way && saw_again -> did = true; break
     :: saw_on_the_way && !saw_again ->
#ifdef NO_AGAIN
        did = true; break
#else
        atomic {
          if
          :: seat == saw_seat && on_the_way && !again ->
             again = true;
             did = true;
#ifndef NO_FULL_FENCE
             if
             :: by < PUSHERS -> ready = ready + buffered[by]; buffered[by] = 0
             :: else
             fi
#endif
          :: else -> saw_seat = seat; saw_on_the_way = on_the_way; saw_again = again
          fi
        }
        if
        :: did -> break
        :: else
        fi
#endif
     od;
     if
     :: !did -> wake_next(NOBODY, by)
     :: else
     fi
  :: !word
  fi;
  did = false; saw_seat = 0; saw_on_the_way = false; saw_again = false
}

proctype Pusher(byte me) {
  byte n, tries, next, saw_seat, k, i, saw_bedtimes;
  bool saw_on_the_way, saw_again, saw_word, ok, did;
  do
  :: n < JOBS ->
     n++;
     buffered[me]++;
     announce(me)
  :: n == JOBS -> break
  od;
  /* Everything comes through in the end. */
  drain(me);
  atomic { pushing-- }
died:
  skip
}

/* settle: drops the duty, or keeps it if there is news, which must be looked for. `kept`; the duty as seen is renewed. */
inline settle(whose) {
  atomic {
    kept = false;
    if
    :: seat == saw_seat && on_the_way == saw_on_the_way && again == saw_again ->
       kept = again;
       on_the_way = again;
       again = false
    :: else
    fi;
    saw_seat = seat; saw_on_the_way = on_the_way; saw_again = again
  }
}

/* pass_on of a handle that waits; `more` is whether there is a job. */
inline pass_on(self, always) {
  FORGET;
  atomic { saw_seat = seat; saw_on_the_way = on_the_way; saw_again = again };
  do
  :: saw_on_the_way && saw_seat == self ->
     did = false;
     if
     :: always || ready > 0 -> wake_next(self, NOBODY)
     :: else
     fi;
     if
     :: did -> break
     :: else
     fi;
     atomic { saw_seat = seat; saw_on_the_way = on_the_way; saw_again = again };
     if
     :: saw_on_the_way && saw_seat == self -> settle(self)
     :: else
     fi
  :: else -> break
  od;
  did = false; saw_seat = 0; saw_on_the_way = false; saw_again = false
}

/* try_take: `got`. With pass_by after a look in vain, pass_on after one that found something. */
inline try_take(mine) {
  do
  :: atomic {
       got = ready > 0;
       if
       :: got -> ready--; taken++
       :: else
       fi
     }
     if
     :: got ->
        CRASH(mine)
        if
        :: waits -> pass_on(mine, false)
        :: else
        fi;
        break
     :: !got && !waits -> break
     :: !got && waits ->
#ifdef DUTY_KEPT
        break
#else
        atomic { saw_seat = seat; saw_on_the_way = on_the_way; saw_again = again };
        kept = false;
        do
#ifndef LOOKED_BEFORE
        :: saw_on_the_way && saw_seat == mine && looked != saw_again ->
           /* Given, or with news, since the look began. */
#ifndef NEWS_KEPT
           if
           :: saw_again -> settle(mine)
           :: else -> kept = true
           fi;
#else
           kept = true;
#endif
           if
           :: kept -> looked = saw_again; break
           :: else
           fi
        :: saw_on_the_way && saw_seat == mine && looked == saw_again ->
#else
        :: saw_on_the_way && saw_seat == mine ->
#endif
           /* drop_exactly */
           atomic {
             if
             :: seat == saw_seat && on_the_way == saw_on_the_way && again == saw_again ->
                on_the_way = false; again = false; looked = NOBODY;
                saw_on_the_way = false
             :: else -> saw_seat = seat; saw_on_the_way = on_the_way; saw_again = again
             fi
           }
        :: !(saw_on_the_way && saw_seat == mine) -> FORGET; break
        od;
        if
        :: kept -> kept = false
        :: else -> break
        fi
#endif
     fi
  od;
  atomic { kept = false; saw_seat = 0; saw_on_the_way = false; saw_again = false }
}

/* unpark: withdraw, then hand_on */
inline unpark(own) {
  waits = false;
#ifdef CLEARED_AFTERWARDS
  pass_on(own, true);
  set[own] = false;
#else
  set[own] = false;
#endif
  parked[own] = false;
  CRASH(own)
#if !defined(DUTY_KEPT_LEAVING) && !defined(CLEARED_AFTERWARDS)
  pass_on(own, true)
#endif
}

proctype Sleeper(byte me) {
  byte tries, next, saw_seat, k, i, saw_bedtimes, looked = REMEMBERED;
  bool saw_on_the_way, saw_again, saw_word, ok, did, kept, got, waits, left;
#ifdef WITH_NEWS
    waits = me == 0;
#endif
    do
    :: /* Looks, and works. Who was woken may as well lie down first, and look then. */
       if
       :: try_take(me)
       :: waits
       fi;
       if
       :: got ->
          got = false;
          if
          :: waits -> unpark(me)
          :: true
          fi
       :: else ->
          /* park_on_bell: the line, the bit, the word; afterwards only the line again. */
          FORGET;
          parked[me] = true;
          if
          :: !waits ->
             set[me] = true;
             CRASH(me)
             atomic { word = true; bedtimes = (bedtimes + 1) % 8 };
             waits = true
          :: else
          fi;
#ifndef NO_HEAVY_FENCE
          d_step {
            k = 0;
            do
            :: k < PUSHERS -> ready = ready + buffered[k]; buffered[k] = 0; k++
            :: else -> break
            od;
            k = 0
          };
#endif
#ifndef LOOK_BEFORE_PARK
          try_take(me);
#endif
          if
          :: got ->
             got = false;
             unpark(me)
          :: else ->
             CRASH(me)
             if
             :: bell[me] -> bell[me] = false; CRASH(me)
             :: atomic { leavers < LEAVERS -> leavers++; left = true }
             :: pushing == 0 && taken == everything -> left = true
             fi;
             if
             :: left -> unpark(me); break
             :: else
             fi
          fi
       fi
    od;
    gone[me] = true;
died:
    skip
}

/* Sleepers::bury, under the lifecycle lock, by whoever looks for the dead. */
proctype Undertaker() {
  byte who, tries, next, saw_seat, k, i, saw_bedtimes;
  bool saw_on_the_way, saw_again, saw_word, ok, did;
end:
  do
  :: dead[who] ->
     set[who] = false;
#ifndef DUTY_OF_THE_DEAD
     drop_of(who);
#endif
     if
     :: on_the_way -> bell[seat] = true
     :: else
     fi;
     parked[who] = false;
     dead[who] = false;
#ifndef SILENT_BURIAL
     announce(NOBODY)
#endif
  :: SLEEPERS > 1 && !dead[who] && dead[(who + 1) % SLEEPERS] -> who = (who + 1) % SLEEPERS
  od;
died:
  skip
}

init {
  byte w;
  atomic {
#ifdef WITH_NEWS
    set[0] = true; word = true; /* it has heard the bell */
#endif
    for (w : 0 .. SLEEPERS - 1) { run Sleeper(w) }
    for (w : 0 .. PUSHERS - 1) { run Pusher(w) }
    if
    :: DEATHS > 0 -> run Undertaker()
    :: else
    fi
  }
}
