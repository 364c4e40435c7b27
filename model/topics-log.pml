/*
 * The log of a bus: does every subscriber see each message for it whole, in order and once, or count it as missed?
 *
 * Mirrors
 *   native/include/millrace/topics/log.hpp      tail, head, commit, evict
 *   native/include/millrace/topics/entries.hpp  may_evict, union_of, count_losses, scan, move, admit, dismiss
 *   native/include/millrace/topics/reading.hpp  read, step
 *   native/include/millrace/topics/slots.hpp    what the undertaker does with slots
 *
 * A message is committed by one compare-and-swap of a cell from empty(turn) to full(turn, slot, token); its turn is its index.
 * The word of an entry {position, missed} is changed by compare-and-swap only: by its reader, which thereby finds out whether
 * what it has copied was still there, and by whoever needs room and moves it: over all that the floor is to pass, in one step.
 * What an entry loses by that is counted before the step, from exactly the word that it starts from; with COUNTED for all
 * entries at once, before any of them is moved, as the code does where more than one loses something. A cell is emptied when
 * all positions are beyond it. The word of its slot says so first, so that it can be told, whoever is killed, what has gone and
 * what was never there.
 *
 * Memory is sequentially consistent, but for the payloads: a reader copies while others may write. head and tail are
 * hints that lag: they are stored by whoever, in any order. What subject a cell has is read in one step: the code looks at the
 * cell again, which never comes back to what it was. The generation in the word of an entry is left out: without it who has
 * judged one that has left may move the next one in its place, but over nothing except what is replayed to that. How a free
 * slot is found is work-hints.pml's, how a sleeper is woken work-wake.pml's: here who waits for room goes on when a position
 * has changed.
 *
 * Properties: a message that is accepted is whole and the one of its index (torn), was not committed before subscribe() began
 * (early), and is for the subscriber (uninvited); what was committed after subscribe() returned is seen or counted (lost), and
 * nothing is counted that was committed before it began (overcounted); who is never woken keeps nobody from publishing, and
 * nobody waits for the dead (invalid end state); no slot stays in nobody's hands (leaked).
 *
 * Bounds: PUBLISHERS publish MESSAGES each on SUBJECTS subjects (OTHERS, all but the first), CELLS cells and one slot more, READERS of SUBJECTS' bits READS; SLEEPERS
 * are interested in nothing and do nothing; the first reader joins late (LATE), or leaves after a message and joins again in
 * the same place (AGAIN), and then begins REPLAY messages before the end; DEATHS are killed at any step. WAIT: readers have the policy 'wait'.
 *
 * run overwrite        -DPUBLISHERS=2 -DMESSAGES=1 -DCELLS=1 -DPREPARED
 * run wait             -DPUBLISHERS=2 -DMESSAGES=2 -DOTHERS=1 -DCELLS=1 -DWAIT
 * run lagging          -DMESSAGES=4 -DLAG
 * run uninterested     -DMESSAGES=4 -DSUBJECTS=2 -DREADS=1 -DSLEEPERS=1 -DWAIT
 * run joins            -DPUBLISHERS=2 -DMESSAGES=1 -DCELLS=1 -DPREPARED -DLATE -DSTRIDE=2
 * run joins-lag        -DMESSAGES=4 -DLATE -DSTRIDE=2 -DLAG
 * run replays          -DMESSAGES=4 -DLATE -DSTRIDE=2 -DREPLAY=1
 * run joins-again      -DMESSAGES=4 -DSUBJECTS=2 -DREADS=1 -DAGAIN
 * run counted          -DMESSAGES=4 -DSTRIDE=2 -DCOUNTED
 * run counted-joins    -DMESSAGES=4 -DLATE -DSTRIDE=2 -DREPLAY=1 -DCOUNTED
 * run counted-again    -DMESSAGES=4 -DSUBJECTS=2 -DREADS=1 -DAGAIN -DSTRIDE=2 -DCOUNTED
 * run publisher-dies   -DPUBLISHERS=2 -DMESSAGES=1 -DCELLS=1 -DDEATHS=1 -DVICTIMS=1
 * run evictor-dies     -DPUBLISHERS=2 -DMESSAGES=1 -DCELLS=1 -DPREPARED -DREADERS=0 -DSLEEPERS=1 -DDEATHS=1
 * run reader-dies      -DMESSAGES=3 -DCELLS=1 -DWAIT -DDEATHS=1
 * deep overwrite       -DPUBLISHERS=2 -DMESSAGES=2 -DCELLS=1
 * deep counted         -DPUBLISHERS=2 -DMESSAGES=2 -DOTHERS=1 -DSTRIDE=2 -DCOUNTED
 * deep counted-two     -DMESSAGES=4 -DREADERS=2 -DSTRIDE=2 -DCOUNTED
 * deep joins           -DPUBLISHERS=2 -DMESSAGES=2 -DOTHERS=1 -DCELLS=1 -DLATE -DSTRIDE=2
 * deep publisher-dies  -DPUBLISHERS=2 -DMESSAGES=1 -DCELLS=1 -DPREPARED -DDEATHS=1 -DVICTIMS=2
 * broken TAKEN_BY_STORE    lost        | a reader moves its position by a store: it does not notice that it was moved | -DMESSAGES=4
 * broken NO_SECOND_LOOK    torn        | a reader does not look at the cell again when it has copied | -DMESSAGES=4 -DLATE -DSTRIDE=2 -DREPLAY=1
 * broken MISSED_UNCOUNTED  lost        | who makes room does not count what a subscriber misses | -DMESSAGES=4
 * broken MOVED_BY_STORE    overcounted | who makes room moves a position by a store | -DMESSAGES=4
 * broken LOSSES_BELIEVED   overcounted | what was counted for all is added also where the reader has gone on meanwhile | -DMESSAGES=4 -DSTRIDE=2 -DCOUNTED
 * broken FLOOR_BEYOND_TAIL lost        | the floor may be beyond the end of the log that was known before the look at the entries | -DMESSAGES=5 -DSTRIDE=3
 * broken JOINS_BY_HINT     early       | a new subscriber begins at the hint of the end | -DMESSAGES=4 -DLATE -DLAG
 * broken COMMIT_BY_STORE   leaked      | a message is committed without a compare | -DPUBLISHERS=2 -DMESSAGES=1 -DCELLS=1
 * broken CELL_FIRST        leaked      | the cell is emptied before the word of its slot says so | -DPUBLISHERS=2 -DMESSAGES=1 -DCELLS=1 -DPREPARED -DREADERS=0 -DSLEEPERS=1 -DDEATHS=1
 * broken COMMITTED_FREED   torn        | the slot of a dead publisher is freed although its message is committed | -DPUBLISHERS=2 -DMESSAGES=1 -DCELLS=1 -DDEATHS=1 -DVICTIMS=1
 * broken EVICTED_LEFT      leaked      | nobody frees what the dead was about to | -DPUBLISHERS=2 -DMESSAGES=1 -DCELLS=1 -DPREPARED -DREADERS=0 -DSLEEPERS=1 -DDEATHS=1
 * broken SLEEPERS_NOT_HELPED invalid end state | who is interested in nothing has to go on by itself | -DMESSAGES=4 -DSUBJECTS=2 -DREADS=1 -DSLEEPERS=1 -DWAIT
 */

#ifndef CELLS
#define CELLS 2
#endif
#ifndef PUBLISHERS
#define PUBLISHERS 1
#endif
#ifndef MESSAGES
#define MESSAGES 2
#endif
#ifndef OTHERS
#define OTHERS MESSAGES          /* of the publishers but the first */
#endif
#ifndef READERS
#define READERS 1
#endif
#ifndef SLEEPERS
#define SLEEPERS 0
#endif
#ifndef SUBJECTS
#define SUBJECTS 1
#endif
#ifndef READS
#define READS ((1 << SUBJECTS) - 1)
#endif
#ifndef STRIDE
#define STRIDE 1
#endif
#ifndef DEATHS
#define DEATHS 0
#endif
#ifndef VICTIMS
#define VICTIMS SEATS            /* the first ones, which may be killed */
#endif
#ifdef REPLAY
#define REPLAYED REPLAY
#else
#define REPLAYED 0
#endif
#define SLOTS (CELLS + 1)
#define ENTRIES (READERS + SLEEPERS)
#define SEATS (PUBLISHERS + READERS)
#define ALL (MESSAGES + (PUBLISHERS - 1) * OTHERS)

bool torn, early, uninvited, lost, overcounted, leaked;
#define ensure(condition, otherwise) assert((condition) || otherwise)

/* The word of a slot: state 2, seat 3 (0: nobody's), token. */
#define FREE 0
#define HELD 1
#define EVICTED 2
#define state(w) ((w) & 3)
#define seat_of(w) (((w) >> 2) & 7)
#define token_of(w) ((w) >> 5)
#define make(s, seat, token) ((s) | (seat) << 2 | (token) << 5)

/* A cell: full 1, turn 4, slot 2, token; or empty: 0 1, turn 4. A turn is an index here. */
#define full_cell(t, s, token) (1 | (t) << 1 | (s) << 5 | (token) << 7)
#define empty_cell(t) ((t) << 1)
#define is_full(c) ((c) & 1)
#define turn_of(c) (((c) >> 1) & 15)
#define slot_of(c) (((c) >> 5) & 3)
#define cell_token(c) ((c) >> 7)
#define at(t) cell[(t) % CELLS]

/* The word of an entry: position 4, missed 4; or NOWHERE: it does not subscribe. */
#define NOWHERE 255
#define position(p) ((p) & 15)
#define missed(p) ((p) >> 4)
#define floor_of(f) ((f) & 15)
#define changes_of(f) ((f) >> 4)
#define floor_word(at, changes) ((at) | (changes) << 4)
#define moved(p, by, more) ((p) + (by) + ((more) << 4))

short word[SLOTS];
byte tentative[SLOTS];           /* the index at which its publisher tries to commit it */
byte first_half[SLOTS], other_half[SLOTS], subject[SLOTS];
short cell[CELLS];
byte head, tail;
short floor;                     /* {index 4, changes} */
byte entry[ENTRIES];
byte interest[ENTRIES];          /* a bit for each subject */

/* For the properties alone. */
byte message_at[ALL + 1];          /* by index */
byte messages, commits;
bool subscribing[ENTRIES], joined[ENTRIES];
byte began_at[ENTRIES];
short owed[ENTRIES], meanwhile[ENTRIES];   /* a bit for each index */
byte deaths, kill, dead, home;
byte publishing = PUBLISHERS;

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

/* Of the message at `i`, if it is there: `each(s)` with its subject. */
#define of_message(i, each) \
  atomic { \
    v = at(i); \
    if \
    :: is_full(v) && turn_of(v) == i -> s = subject[slot_of(v)]; each \
    :: else \
    fi; \
    v = 0; s = 0 \
  }
inline want_it() {
  for (e : 0 .. ENTRIES - 1) { wanted = wanted | (((interest[e] >> s) & 1) << e) }
  e = 0
}
inline lose_it() {
  for (e : 0 .. ENTRIES - 1) { losing[e] = losing[e] + ((interest[e] >> s) & 1) }
  e = 0
}
inline stop_or_lose() {
  if
  :: !(interest[e] & (1 << s))
  :: else ->
#ifdef WAIT
     if
     :: to > i -> to = i
     :: else
     fi
#else
     more++
#endif
  fi
}

/* Who wants something in [h, goal). */
inline union_of() {
  i = h;
  do
  :: i < goal -> of_message(i, want_it()); i++
  :: else -> break
  od;
  i = 0
}

/* What each loses in [h, goal), and where it was before. */
inline count_losses() {
  atomic {
    counted_to = goal;
    for (e : 0 .. ENTRIES - 1) { losing[e] = 0 }
    e = 0
  }
  do
  :: e < ENTRIES -> found[e] = entry[e]; e++
  :: else -> e = 0; break
  od;
  i = h;
  do
  :: i < goal -> of_message(i, lose_it()); i++
  :: else -> break
  od;
  i = 0
}
#ifdef COUNTED
#ifdef LOSSES_BELIEVED
#define is_counted(e, p) (counted_to == goal)
#else
#define is_counted(e, p) (counted_to == goal && position(p) <= h && found[e] == p)
#endif
#endif

/* Moves one entry to `goal` in one step, unless it waits for something before
 * that: then to there, which is as far as the others are moved. */
inline move_entry(e) {
  do
  :: p = entry[e];
     if
     :: p == NOWHERE || position(p) >= goal -> break
     :: else
     fi;
     to = goal;
     more = 0;
     if
     :: !(wanted & (1 << e))
#ifdef COUNTED
     :: (wanted & (1 << e)) && is_counted(e, p) -> more = losing[e]
#endif
     :: else ->
        i = (position(p) > h -> position(p) : h);
        do
        :: i < goal && i < to -> of_message(i, stop_or_lose()); i++
        :: else -> break
        od
     fi;
#ifdef SLEEPERS_NOT_HELPED
     if
     :: !interest[e] -> to = position(p)
     :: else
     fi;
#endif
     if
     :: to <= position(p) -> goal = position(p); blocker = e; before = p; break
     :: else
     fi;
#ifdef MISSED_UNCOUNTED
     more = 0;
#endif
#ifdef MOVED_BY_STORE
     entry[e] = moved(p, to - position(p), more); ok = true;
#else
     swap(entry[e], p, moved(p, to - position(p), more));
#endif
     if
     :: ok -> goal = to; break
     :: else
     fi
  od;
  atomic { p = 0; i = 0; to = 0; more = 0 }
}

/* Without LAG it lags where somebody slow stores it. */
inline set_hint(hint, value) {
#ifdef LAG
  if
  :: hint = value
  :: true
  fi
#else
  hint = value
#endif
}

/* Empties cell `h`, which is `c`, as nobody needs it any more. */
inline empty_first() {
  s = slot_of(c);
#ifdef CELL_FIRST
  swap(at(h), c, empty_cell(h + CELLS));
#else
  mark_evicted();
  swap(at(h), c, empty_cell(h + CELLS));
#endif
  if
  :: ok ->
     set_hint(head, h + 1);
#ifdef CELL_FIRST
     mark_evicted();
#endif
     w = make(EVICTED, 0, cell_token(c));
     swap(word[s], w, make(FREE, 0, cell_token(c)))
  :: else
  fi;
  ok = true;
  w = 0; s = 0
}

inline mark_evicted() {
  do
  :: w = word[s];
     if
     :: token_of(w) != cell_token(c) || state(w) != HELD -> break
     :: else -> swap(word[s], w, make(EVICTED, 0, token_of(w)))
     fi
  od
}

/* Makes room at the old end of the log: `ok` tells whether there may be some now. */
inline evict() {
  h = head;
  do
  :: c = at(h);
     if
     :: turn_of(c) > h -> h++
     :: else -> break
     fi
  od;
  if
  :: !is_full(c) -> ok = true
  :: else ->
     do
     :: f = floor;
        if
        :: floor_of(f) > h -> ok = true; break
        :: else
        fi;
        goal = h + STRIDE;
#ifndef FLOOR_BEYOND_TAIL
        t = tail;
        if
        :: t <= h -> goal = h + 1
        :: t > h && t < goal -> goal = t
        :: else
        fi;
#endif
        union_of();
#ifdef COUNTED
        count_losses();
#endif
        do
        :: e < ENTRIES && goal > h -> move_entry(e); e++
        :: else -> e = 0; break
        od;
        wanted = 0;
        if
        :: goal <= h -> ok = false; break
        :: else
        fi;
        swap(floor, f, floor_word(goal, changes_of(f)));
        if
        :: ok -> break
        :: else
        fi
     od;
     if
     :: ok -> empty_first()
     :: else
     fi
  fi;
  atomic { h = 0; c = 0; goal = 0; e = 0; t = 0; p = 0; v = 0; s = 0; w = 0; f = 0 }
}

/* Room that a subscriber who waits is in the way of comes when it goes on, or goes. */
inline wait_for_room() {
  do
  :: evict();
     if
     :: ok -> break
       :: else -> atomic { entry[blocker] != before -> before = 0; blocker = 0 }
     fi
  od
}

proctype Publisher(byte me; byte count) MORTAL {
  byte n, m, a, t, e, p, s, h, i, to, more, wanted, goal, mine, before, blocker;
  short c, v, w, own, f;
#ifdef COUNTED
  byte found[ENTRIES], losing[ENTRIES], counted_to;
#endif
  bool ok;
  {
    do
    :: n < count ->
       n++;
       atomic { m = messages; messages++ }
       mine = NOWHERE;
       do
       :: atomic {
            do
            :: s < SLOTS && state(word[s]) == FREE ->
               mine = s; own = make(HELD, me, token_of(word[s]) + 1); word[s] = own;
               first_half[mine] = m; break
            :: s < SLOTS && state(word[s]) != FREE -> s++
            :: s == SLOTS -> break
            od;
            s = 0
          }
          if
          :: mine != NOWHERE -> break
          :: else -> wait_for_room()
          fi
       od;
       atomic {
         if
         :: subject[mine] = 0
         :: SUBJECTS > 1 -> subject[mine] = SUBJECTS - 1
         fi;
         other_half[mine] = m
       }
       a = tail;
       do
       :: c = at(a);
          if
          :: c == empty_cell(a) ->
             tentative[mine] = a;
             atomic {
#ifdef COMMIT_BY_STORE
               if
               :: true ->
#else
               if
               :: at(a) == c ->
#endif
                  at(a) = full_cell(a, mine, token_of(own));
                  message_at[a] = m;
                  commits++;
                  for (e : 0 .. ENTRIES - 1) {
                    if
                    :: interest[e] & (1 << subject[mine]) ->
                       owed[e] = owed[e] | (joined[e] << a);
                       meanwhile[e] = meanwhile[e] | ((subscribing[e] && !joined[e]) << a)
                    :: else
                    fi
                  }
                  e = 0; c = 0;
                  break
               :: else
               fi
             }
          :: c != empty_cell(a) && turn_of(c) >= a -> a++
          :: else -> wait_for_room()
          fi
       od;
       set_hint(tail, a + 1);
       atomic { m = 0; a = 0; mine = 0; own = 0; ok = false; c = 0; before = 0; blocker = 0 }
    :: else -> break
    od;
    atomic { publishing--; home = home | (1 << me) }
  } DIES
}

/* Its position is the real end of the log, be the hint as it may. */
inline join(e) {
  atomic { subscribing[e] = true; began_at[e] = commits; owed[e] = 0; meanwhile[e] = 0; seen = 0 }
  t = tail;
#ifndef JOINS_BY_HINT
  do
  :: c = at(t);
     if
     :: c != empty_cell(t) && turn_of(c) >= t -> t++
     :: else -> break
     fi
  od;
#endif
#ifdef REPLAY
  t = (t > REPLAY -> t - REPLAY : 0);
#endif
  entry[e] = t;
  do
  :: f = floor;
     swap(floor, f, floor_word((t < floor_of(f) -> t : floor_of(f)), changes_of(f) + 1));
     if
     :: ok -> break
     :: else
     fi
  od;
  atomic { f = 0; joined[e] = true; t = 0; c = 0 }
}

/* What was for it since it joined is seen or counted, and nothing from before it began to. */
inline account(e) {
  d_step {
    seen = seen + missed(entry[e]);
    one = 0; other = 0; t = 0;
    do
    :: t < position(entry[e]) ->
       one = one + ((owed[e] >> t) & 1);
       other = other + ((meanwhile[e] >> t) & 1);
       t++
    :: else -> break
    od;
    ensure(seen >= one, lost);
    ensure(seen <= one + other + REPLAYED, overcounted);
    joined[e] = false; subscribing[e] = false; seen = 0; one = 0; other = 0; t = 0
  }
}

proctype Reader(byte me; byte e) MORTAL {
  byte t, p, seen, one, other, reads;
  short c, f;
  bool ok, last, same;
  {
#ifdef LATE
    join(e);
#endif
    do
    :: p = entry[e];
       /* Judged before the look. */
       last = publishing == 0 && unburied == 0;
       c = at(position(p));
       if
       :: is_full(c) && turn_of(c) == position(p) ->
          if
          :: !(interest[e] & (1 << subject[slot_of(c)])) -> swap(entry[e], p, moved(p, 1, 0))
          :: else ->
             one = first_half[slot_of(c)];
             other = other_half[slot_of(c)];
             /* For who joined behind the back of somebody who makes room: then nobody moves it. */
#ifndef NO_SECOND_LOOK
             same = at(position(p)) == c;
#else
             same = true;
#endif
             atomic {
               ok = false;
               if
               :: !same ->
#ifdef TAKEN_BY_STORE
               :: same ->
#else
               :: same && entry[e] == p ->
#endif
                  entry[e] = position(p) + 1;
                  ensure(one == other && one == message_at[position(p)], torn);
                  ensure(position(p) + REPLAYED >= began_at[e], early);
                  seen = seen + 1 + missed(p);
                  ok = true;
                  reads++
               :: else
               fi;
               one = 0; other = 0
             }
#ifdef AGAIN
             if
             :: ok && reads == 1 ->
                account(e);
                entry[e] = NOWHERE;
                interest[e] = (interest[e] == 1 -> 1 << (SUBJECTS - 1) : 1);
                join(e)
             :: else
             fi
#endif
          fi
       :: turn_of(c) > position(p) -> swap(entry[e], p, moved(p, 1, 0))
       :: else ->
          if
          :: last -> break
          :: else -> at(position(p)) != c || entry[e] != p || (publishing == 0 && unburied == 0)
          fi
       fi;
       atomic { p = 0; c = 0; ok = false; last = false; same = false }
    od;
    atomic { home = home | (1 << me); p = 0; c = 0; ok = false; last = false; same = false };
    account(e)
  } DIES
}

proctype Undertaker() {
  byte s, e, seat, a;
  short w, c;
  bool ok;
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
        a = tentative[s];
        c = at(a);
        ok = true;
        if
        :: state(w) == HELD && seat_of(w) == seat ->
           if
#ifdef COMMITTED_FREED
           :: false
#else
           :: c == full_cell(a, s, token_of(w)) -> swap(word[s], w, make(HELD, 0, token_of(w)))
#endif
           :: else -> swap(word[s], w, make(FREE, 0, token_of(w)))
           fi
#ifndef EVICTED_LEFT
        :: state(w) == EVICTED && c != full_cell(a, s, token_of(w)) ->
           swap(word[s], w, make(FREE, 0, token_of(w)))
#endif
        :: else
        fi;
        s = s + ok
     :: else -> break
     od;
     if
     :: seat > PUBLISHERS -> entry[seat - PUBLISHERS - 1] = NOWHERE
     :: else -> publishing--
     fi;
     atomic { dead = dead & ~(1 << seat); seat = 0; s = 0; a = 0; w = 0; c = 0; ok = false }
  od
}

proctype Killer() {
  byte who;
end:
  do
  :: atomic { deaths < DEATHS && publishing > 0 && kill == 0 ->
       select (who : 1 .. VICTIMS);
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
    for (i : 0 .. CELLS - 1) { cell[i] = empty_cell(i) }
    for (i : 0 .. ENTRIES - 1) {
      if
      :: i < READERS -> interest[i] = READS
      :: else
      fi;
#ifdef LATE
      if
      :: i == 0 -> entry[i] = NOWHERE
      :: else -> joined[i] = true
      fi
#else
      joined[i] = true
#endif
    }
#ifdef PREPARED
    cell[0] = full_cell(0, 0, 1);
    word[0] = make(HELD, 0, 1);
    first_half[0] = ALL;
    other_half[0] = ALL;
    message_at[0] = ALL;
    tail = 1;
    commits = 1;
    for (i : 0 .. ENTRIES - 1) { owed[i] = joined[i] && (interest[i] & 1) }
#endif
    for (i : 1 .. PUBLISHERS) { run Publisher(i, (i == 1 -> MESSAGES : OTHERS)) }
    for (i : PUBLISHERS + 1 .. SEATS) { run Reader(i, i - PUBLISHERS - 1) }
    if
    :: DEATHS > 0 -> run Undertaker(); run Killer()
    :: else
    fi
  }
  publishing == 0 && unburied == 0;
  d_step {
    i = 0;
    do
    :: i < SLOTS ->
       ensure(state(word[i]) == FREE || state(word[i]) == EVICTED ||
              at(tentative[i]) == full_cell(tentative[i], i, token_of(word[i])), leaked);
       ensure(state(word[i]) != EVICTED ||
              at(tentative[i]) == full_cell(tentative[i], i, token_of(word[i])), leaked);
       i++
    :: else -> break
    od
  }
}
