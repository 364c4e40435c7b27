/*
 * Frames: does a slot ever change under the reader that holds it, is a frame ever lost without being counted, does a
 * slot ever stay pinned by nobody?
 *
 * Mirrors, statement by statement,
 *   native/include/millrace/frame_writer.hpp  publish, inherit, finish_publish
 *   native/include/millrace/frame_ledger.hpp  try_loan, make_room, while_joiners_wait, evict_until_free, evict_one,
 *                                             remember, clear_stray_pins, find_free, is_free
 *   native/include/millrace/frame_lanes.hpp   active, reap_dead
 *   native/include/millrace/frame_reader.hpp  join, next, release, close
 *   native/include/millrace/frame_joining.hpp occupy, activate, let_writer_finish, collect_history, unpin, leave
 *   native/include/millrace/lane_queue.hpp    push, push_missing, pushed_last, evict, take, skip_all
 *
 * One lane, that is, one seat: readers follow each other on it, each joining while the writer works, receiving, holding
 * one frame at a time, and then leaving or being killed, at any statement. In the runs `joins-` nobody is killed, and the
 * slots are so few that the writer looks for stray pins while one reader leaves and the next one joins. The writer is killed and replaced likewise.
 * What a reader looks at of a frame is its sequence, which a slot's payload holds once it is written.
 *
 * Sequentially consistent: what is published and taken with release and acquire here is the same as in ring.pml, and
 * the fence between `begun` and `active` is the one of park.pml.
 *
 * Who waits for a wake-up waits here for what it is to be woken for, so that nobody who waits for ever is overlooked
 * ("invalid end state").
 *
 * Bounds: SLOTS slots, FRAMES frames, READERS one after the other, of whom READER_DEATHS are killed; WRITER_DEATHS;
 * one of the three policies with its default depth; HISTORY frames kept for who joins late, at most one.
 *
 * run wait               -DPOLICY=WAIT -DREADER_DEATHS=1
 * run drop-newest        -DPOLICY=DROP -DREADER_DEATHS=1
 * run overwrite-oldest   -DPOLICY=OVERWRITE -DREADER_DEATHS=1
 * run writer-dies        -DPOLICY=OVERWRITE -DFRAMES=2 -DREADERS=1 -DWRITER_DEATHS=1
 * run writer-dies-waits  -DPOLICY=WAIT -DFRAMES=2 -DREADERS=1 -DWRITER_DEATHS=1
 * run history            -DSLOTS=3 -DHISTORY=1 -DREADERS=1
 * run joins-wait         -DPOLICY=WAIT -DHISTORY=1 -DFRAMES=4
 * run joins-drop         -DPOLICY=DROP -DHISTORY=1 -DFRAMES=4
 * run joins-overwrite    -DPOLICY=OVERWRITE -DHISTORY=1 -DFRAMES=4
 * run history-inherited  -DSLOTS=3 -DHISTORY=1 -DFRAMES=2 -DREADERS=1 -DWRITER_DEATHS=1
 * deep wait              -DPOLICY=WAIT -DREADER_DEATHS=1 -DWRITER_DEATHS=1
 * deep drop-newest       -DPOLICY=DROP -DREADER_DEATHS=1 -DWRITER_DEATHS=1
 * deep overwrite-oldest  -DPOLICY=OVERWRITE -DREADER_DEATHS=1 -DWRITER_DEATHS=1
 * deep longer            -DPOLICY=OVERWRITE -DFRAMES=5 -DREADER_DEATHS=2 -DREADERS=3
 * deep history           -DSLOTS=3 -DHISTORY=1 -DFRAMES=3 -DREADER_DEATHS=1 -DWRITER_DEATHS=1
 * broken PIN_IGNORED          uncounted | the writer looks at its own books only, not at the pins: queued frames are overwritten
 * broken PINNED_AFTER_PUSH    uncounted | the descriptor is pushed before the pin is set
 * broken MARKED_LATE          torn      | the reader marks its ledger after it has taken the descriptor | -DREADERS=1 -DWRITER_DEATHS=1
 * broken UNMARKED_FIRST       uncounted | the reader takes its mark back before its pin, which a new writer may have cleared and set for a new frame | -DREADERS=1 -DWRITER_DEATHS=1
 * broken EVICTED_STAYS_PINNED leaked    | who evicts a descriptor leaves the pin, and strays are not looked for | -DNO_STRAY_PINS
 * broken NO_STRAY_PINS        leaked    | what a writer that was killed has taken back and not unpinned stays so | -DREADERS=1 -DWRITER_DEATHS=1
 * broken STRAYS_UNGUARDED     torn      | a writer clears stray pins while readers join: it takes that of a reader that comes between its looks at pin and mark | -DPOLICY=DROP -DHISTORY=1 -DFRAMES=4
 * broken SEQUENCE_REUSED      twice     | a successor uses the sequence of an interrupted publish again | -DREADERS=1 -DWRITER_DEATHS=1
 * broken PUSHED_TWICE         torn      | a successor pushes what its predecessor had pushed already | -DREADERS=1 -DWRITER_DEATHS=1
 * broken JOINED_UNFINISHED    twice     | a reader joins although the writer was killed in the middle of a publish | -DREADERS=1 -DWRITER_DEATHS=1
 * broken NOT_WAITED_BEFORE    twice     | a reader joins while a frame is pushed, or evicted, for its predecessor | -DREADER_DEATHS=1
 * broken NOT_WAITED_AFTER     twice     | a reader reads where it joined while a publish is under way that does not know it
 * broken NOT_SKIPPED          uncounted | a reader that joins leaves what was queued for its predecessor | -DREADER_DEATHS=1
 * broken PINS_INHERITED       leaked    | a reader that joins leaves the pins of its predecessor | -DREADER_DEATHS=1
 * broken REAPED_UNLOCKED      uncounted | a dead reader's lane is put out of service without the lifecycle lock | -DPOLICY=WAIT -DREADER_DEATHS=1
 * broken HISTORY_UNCOMPARED   uncounted | a late reader pins a frame of the history without comparing that it is still kept | -DSLOTS=3 -DHISTORY=1 -DREADERS=1
 * broken NEVER_REAPED         invalid end state | nobody looks whether a reader is dead | -DPOLICY=WAIT -DREADERS=1 -DREADER_DEATHS=1
 */

#define WAIT 0
#define DROP 1
#define OVERWRITE 2
#ifndef POLICY
#define POLICY OVERWRITE
#endif
#ifndef SLOTS
#define SLOTS 2
#endif
#ifndef FRAMES
#define FRAMES 3
#endif
#ifndef READERS
#define READERS 2
#endif
#ifndef READER_DEATHS
#define READER_DEATHS 0
#endif
#ifndef WRITER_DEATHS
#define WRITER_DEATHS 0
#endif
#ifndef HISTORY
#define HISTORY 0
#endif
#define CELLS 4                 /* a power of two, at least SLOTS */
#define DEPTH (POLICY == WAIT -> SLOTS : 1)
#define NONE 255

/* Why a run is wrong: the name is in the checker's message. */
bool torn, twice, uncounted, leaked;
#define ensure(condition, otherwise) assert((condition) || otherwise)

/* Shared memory. Of SlotRecord::holders there are two bits here, changed together where one instruction does so. */
bool pin[SLOTS], kept[SLOTS];
byte sequence_of[SLOTS], payload[SLOTS];
bool mark[SLOTS];               /* the ledger of the lane */
byte cell_sequence[CELLS], cell_slot[CELLS];
byte write_position, read_position, dropped, evicted, first;
bool active_bit;
byte epoch;
byte begun, published, evictions;

/* Locks: whether the roles are held, and by whom the lifecycle byte is. */
#define WRITER 1
#define READER 2
bool writer_held, lane_held;
byte lifecycle;

/* For the properties and the end alone. */
byte writer_deaths, reader_deaths, readers_begun;
bool kill_writer, kill_reader, published_all, drained, reader_there;
bool cut[FRAMES + WRITER_DEATHS + 2];   /* sequences that a writer was killed in, or before */

#define backlog (write_position - read_position)
#define lost_count (dropped + evicted - lost_before)

inline lock_lifecycle(who) { atomic { lifecycle == 0 -> lifecycle = who } }

/* ---- the writer -------------------------------------------------------------------------------------------------- */

/* FrameLanes::active: sets `lane`. */
inline active_lanes() {
  atomic {
    lane = active_bit;
    if
    :: lane && epoch != known_epoch -> known_epoch = epoch; fresh = true
    :: else
    fi
  }
}

#ifdef PIN_IGNORED
#define is_free(s) (loaned != s && !remembered[s])
#else
#define is_free(s) (loaned != s && !remembered[s] && !(pin[s] && lane))
#endif

inline evict_one() {
  /* LaneProducer::evict: a compare-and-swap on the position that was looked at. */
  atomic {
    victim = NONE;
    if
    :: backlog != 0 -> victim = cell_slot[read_position % CELLS]; read_position++
    :: else
    fi
  }
  if
  :: victim != NONE ->
#ifndef EVICTED_STAYS_PINNED
     pin[victim] = false;
#endif
     evicted++
  :: else
  fi
}

inline clear_stray_pins() {
  active_lanes();
#ifndef NO_STRAY_PINS
  if
  :: lane ->
     d_step {
       for (s : 0 .. SLOTS - 1) { queued[s] = false }
       for (s : 0 .. CELLS - 1) {
         if
         :: s < backlog -> queued[cell_slot[(read_position + s) % CELLS]] = true
         :: else
         fi
       }
       s = 0
     }
     do
     :: s < SLOTS ->
        if
        :: !queued[s] && pin[s] ->
           if
           :: !mark[s] -> pin[s] = false
           :: else
           fi
        :: else
        fi;
        s++
     :: else -> break
     od;
     s = 0;
     d_step { for (s : 0 .. SLOTS - 1) { queued[s] = false } s = 0 }
  :: else
  fi
#endif
}

inline reap_dead_readers() {
  active_lanes();
#ifndef NEVER_REAPED
  if
  :: lane && !lane_held ->
#ifdef REAPED_UNLOCKED
     active_bit = false
#else
     if
     :: atomic { lifecycle == 0 -> lifecycle = WRITER } ->
        if
        :: !lane_held -> active_bit = false
        :: else
        fi;
        lifecycle = 0
     :: lifecycle != 0
     fi
#endif
  :: else
  fi
#endif
}

/* What a writer that waits for a slot is woken for. */
#ifdef NEVER_REAPED
#define dead_reader false
#else
#define dead_reader (active_bit && !lane_held && lifecycle == 0)
#endif
#define some_room ((!active_bit || POLICY != WAIT || backlog < DEPTH) && \
                   (could_be_free(0) || could_be_free(1) || could_be_free(SLOTS - 1) || \
                    (active_bit && POLICY == OVERWRITE && backlog != 0)))
#define could_be_free(s) (!remembered[s] && !(pin[s] && active_bit))
#define stray(s) (pin[s] && !mark[s] && backlog == 0)

inline find_free() {
  atomic { s = 0; active_lanes() }
  do
  :: s < SLOTS && is_free(s) -> loaned = s; break
  :: s < SLOTS && !is_free(s) -> s++
  :: s == SLOTS -> break
  od;
  s = 0
}

inline try_loan() {
  do
  :: loaned != NONE -> break
  :: else ->
     active_lanes();
     if
     :: lane && POLICY == WAIT && backlog >= DEPTH ->
        reap_dead_readers();
        (dead_reader || some_room)
     :: else ->
        find_free();
        if
        :: loaned != NONE
        :: else ->
#if POLICY == OVERWRITE
           /* while_joiners_wait, evict_until_free */
           evictions++;
           active_lanes();
           if
           :: lane ->
              do
              :: evict_one();
                 if
                 :: victim == NONE -> break
                 :: victim != NONE && is_free(victim) -> break
                 :: else
                 fi
              od
           :: else
           fi;
           evictions++;
           find_free();
#endif
           if
           :: loaned != NONE
           :: else ->
#ifdef STRAYS_UNGUARDED
              clear_stray_pins();
#else
              /* while_joiners_wait, clear_stray_pins */
              evictions++;
              clear_stray_pins();
              evictions++;
#endif
              reap_dead_readers();
              find_free();
              if
              :: loaned != NONE
              :: else -> (dead_reader || some_room || stray(0) || stray(1) || stray(SLOTS - 1))
              fi
           fi
        fi
     fi
  od
}

inline make_room() {
#if POLICY == OVERWRITE
  do
  :: backlog >= DEPTH -> evict_one()
  :: else -> break
  od;
#endif
  target = true;
#if POLICY == DROP
  if
  :: backlog >= DEPTH -> dropped++; target = false
  :: else
  fi
#endif
}

inline remember() {
#if HISTORY > 0
  remembered[loaned] = true;
  if
  :: oldest_kept != NONE -> kept[oldest_kept] = false; remembered[oldest_kept] = false
  :: else
  fi;
  oldest_kept = loaned
#else
  skip
#endif
}

inline push() {
  atomic { cell_sequence[write_position % CELLS] = sequence; cell_slot[write_position % CELLS] = loaned }
  write_position++
}

inline set_pins() {
  atomic { pin[loaned] = target; kept[loaned] = HISTORY > 0 }
}

inline publish() {
  atomic { sequence++; begun = sequence; cut[sequence] = true }
  active_lanes();
  sequence_of[loaned] = sequence;
  target = false;
  if
  :: lane ->
     if
     :: fresh -> fresh = false; first = sequence
     :: else
     fi;
     make_room()
  :: else
  fi;
#ifdef PINNED_AFTER_PUSH
  if
  :: target -> push()
  :: else
  fi;
  set_pins();
  remember();
#else
  set_pins();
  remember();
  if
  :: target -> push()
  :: else
  fi;
#endif
  atomic { published = sequence; cut[sequence] = false; loaned = NONE; target = false; victim = NONE }
}

#define pushed_last(s) (write_position != 0 && cell_sequence[(write_position - 1) % CELLS] == begun && \
                        cell_slot[(write_position - 1) % CELLS] == s)

/* Pushes what a predecessor published and did not push any more. Sets `target`: it had published it. */
inline finish_publish() {
  active_lanes();
  sequence = begun;                     /* for push */
  target = false;
  do
  :: s < SLOTS ->
     if
     :: sequence_of[s] == begun ->
        atomic {
          loaned = (pin[s] && lane -> s : NONE);
          target = target || loaned != NONE || kept[s] || pushed_last(s)
        }
        if
#ifdef PUSHED_TWICE
        :: loaned != NONE -> push()
#else
        :: loaned != NONE && !pushed_last(s) -> push()
#endif
        :: else
        fi;
        loaned = NONE
     :: else
     fi;
     s++
  :: else -> break
  od;
  atomic {
    s = 0;
    if
    :: target -> cut[begun] = false
    :: else
    fi
  }
}

inline inherit() {
  sequence = published;
#ifndef SEQUENCE_REUSED
  if
  :: begun == published + 1 ->
     finish_publish();
     if
     :: target
     :: else -> sequence = published
     fi;
     target = false
  :: else
  fi;
#endif
  clear_stray_pins();
  active_lanes();
#if HISTORY > 0
  do
  :: s < SLOTS ->
     if
     :: kept[s] ->
        if
        :: oldest_kept == NONE -> oldest_kept = s
        :: oldest_kept != NONE && sequence_of[oldest_kept] < sequence_of[s] ->
           kept[oldest_kept] = false; oldest_kept = s
        :: else -> kept[s] = false
        fi
     :: else
     fi;
     s++
  :: else -> break
  od;
  s = 0;
  if
  :: oldest_kept != NONE -> remembered[oldest_kept] = true
  :: else
  fi;
#endif
  begun = sequence;
  published = sequence;
  evictions = evictions + evictions % 2
}

proctype Writer() {
  byte sequence, known_epoch, loaned, s, victim, oldest_kept;
  bool lane, fresh, target;
  bool remembered[SLOTS], queued[SLOTS];
  {
    d_step { loaned = NONE; victim = NONE; oldest_kept = NONE }
    lock_lifecycle(WRITER);
    writer_held = true;
    inherit();
    lifecycle = 0;
    do
    :: sequence < FRAMES ->
       try_loan();
       payload[loaned] = 0;             /* the user writes into it */
       payload[loaned] = sequence + 1;
       publish()
    :: else -> break
    od;
    published_all = true;
    /* Nobody holds anything any more: every slot can be had, with the reader and without. */
    drained || (!reader_there && readers_begun == READERS);
    clear_stray_pins();
    reap_dead_readers();
    atomic {
      active_lanes();
      for (s : 0 .. SLOTS - 1) { ensure(is_free(s) || remembered[s], leaked) }
      s = 0
    }
  } unless {
    kill_writer ->
    atomic {
      kill_writer = false;
      writer_held = false;
      if
      :: lifecycle == WRITER -> lifecycle = 0
      :: else
      fi;
      run Writer();
      sequence = 0; known_epoch = 0; loaned = 0; s = 0; victim = 0; oldest_kept = 0;
      lane = false; fresh = false; target = false;
      for (s : 0 .. SLOTS - 1) { remembered[s] = false; queued[s] = false }
      s = 0
    }
  }
}

/* ---- the reader -------------------------------------------------------------------------------------------------- */

/* The end of whatever the writer does with an older look at `active`. Sets `begun_then`; `no_writer` if it was killed over that. */
#define writer_busy (published < begun_then || (evictions_then % 2 == 1 && evictions == evictions_then))
inline let_writer_finish() {
  atomic { begun_then = begun; evictions_then = evictions }
  if
  :: !writer_busy
#ifdef JOINED_UNFINISHED
  :: writer_busy && !writer_held
#else
  :: atomic { writer_busy && !writer_held -> no_writer = true }
#endif
  fi;
  evictions_then = 0
}

inline unpin(s) {
#ifdef UNMARKED_FIRST
  mark[s] = false;
  pin[s] = false
#else
  pin[s] = false;
  mark[s] = false
#endif
}

inline clear_pins() {
  i = 0;
  do
  :: i < SLOTS -> unpin(i); i++
  :: else -> break
  od;
  i = 0
}

#define kept_newer(s) (found[s] <= joined_after && found[s] > found[i])
inline collect_history() {
#if HISTORY > 0
  before = published;
  do
  :: i < SLOTS ->
     do
     :: kept[i] && !pin[i] ->
        mark[i] = true;
        if
#ifdef HISTORY_UNCOMPARED
        :: true -> pin[i] = true; found[i] = sequence_of[i]; break
#else
        :: atomic { kept[i] && !pin[i] -> pin[i] = true }
           found[i] = sequence_of[i];
           break
        :: else -> mark[i] = false
#endif
        fi
     :: else -> break
     od;
     i++
  :: else -> break
  od;
  i = 0;
  /* The newest one from before we joined, if nothing may be missing between it and the queue. */
  moved = begun != before;
  do
  :: i < SLOTS ->
     if
     :: found[i] == 0
     :: found[i] == joined_after && joined_after != 0 -> late_slot = i
     :: else ->
        if
        :: found[i] < joined_after && !moved && late_slot == NONE &&
           !(kept_newer(0) || kept_newer(1) || kept_newer(SLOTS - 1)) -> late_slot = i
        :: else -> unpin(i)
        fi
     fi;
     i++
  :: else -> break
  od;
  atomic { i = 0; moved = false; before = 0 }
#else
  skip
#endif
}

/* Again until there is a writer that is not killed meanwhile. */
inline join() {
  do
  :: writer_held ->                     /* not_found before that */
     lock_lifecycle(READER);
     lane_held = true;
     active_bit = false;
#ifndef NOT_WAITED_BEFORE
     let_writer_finish();
#endif
     if
     :: !no_writer ->
#ifndef NOT_SKIPPED
        read_position = write_position; /* skip_all: a compare-and-swap that succeeded */
#endif
#ifndef PINS_INHERITED
        clear_pins();
#endif
        epoch++;
        lost_before = dropped;
        lost_before = lost_before + evicted;
        first = 0;
        active_bit = true;
#ifndef NOT_WAITED_AFTER
        let_writer_finish();
#else
        begun_then = begun;
#endif
        if
        :: !no_writer -> break
        :: else -> active_bit = false; clear_pins()
        fi
     :: else
     fi;
     lane_held = false;
     atomic { lifecycle = 0; begun_then = 0; no_writer = false }
  od;
  atomic {
    joined_after = (first != 0 && first <= begun_then -> first - 1 : begun_then);
    begun_then = 0
  }
  collect_history();
  last = joined_after;
  lifecycle = 0
}

/* LaneConsumer::take: sets `slot`. */
inline take() {
  slot = NONE;
  do
  :: atomic {
       position = read_position;
       if
       :: write_position == position -> break
       :: else
       fi
     }
     atomic { slot = cell_slot[position % CELLS]; sequence = cell_sequence[position % CELLS] }
#ifndef MARKED_LATE
     atomic { already = mark[slot]; mark[slot] = true }
#endif
     if
     :: atomic { read_position == position -> read_position++ }
#ifdef MARKED_LATE
        mark[slot] = true;
#endif
        break
     :: atomic { read_position != position ->
#ifndef MARKED_LATE
        if
        :: !already -> mark[slot] = false
        :: else
        fi;
#endif
        slot = NONE }
     fi
  od;
  atomic { position = 0; already = false }
}

/* Whoever comes for the seat next. */
inline next_reader() {
  if
  :: readers_begun < READERS -> readers_begun++; reader_there = true; run Reader()
  :: else
  fi
}

/* Passes over what is missing, unless a writer was killed in it. */
inline miss_until(end) {
  d_step {
    for (i : last + 1 .. end - 1) {
      if
      :: !cut[i] -> missed++
      :: else
      fi
    }
    i = 0
  }
}

proctype Reader() {
  byte lost_before, joined_after, begun_then, evictions_then, last, missed, i, slot, sequence, position, late_slot;
  bool already, no_writer;
#if HISTORY > 0
  byte found[SLOTS], before;
  bool moved;
#endif
  {
    slot = NONE;
    late_slot = NONE;
    join();
    do
    :: late_slot != NONE ->
       /* The frame of the history. */
       d_step {
         ensure(payload[late_slot] == sequence_of[late_slot] && sequence_of[late_slot] <= joined_after, torn);
         /* It meets the queue without a gap. */
         i = sequence_of[late_slot] + 1;
         do
         :: i <= joined_after -> ensure(cut[i], uncounted); i++
         :: else -> break
         od;
         i = 0
       }
       ensure(payload[late_slot] == sequence_of[late_slot], torn);
       unpin(late_slot);
       late_slot = NONE
    :: else ->
       take();
       if
       :: slot == NONE ->
          if
          :: atomic { published_all && backlog == 0 ->
               if
               :: last < FRAMES -> miss_until(FRAMES + 1)
               :: else
               fi;
               ensure(missed <= lost_count + writer_deaths, uncounted);
               ensure(missed == lost_count || writer_deaths > 0, uncounted);
               drained = true
             }
             break
          :: backlog != 0
          :: break                      /* leaves when it likes */
          fi
       :: else ->
          if
#ifdef PINS_NOT_JUDGED
          :: true ->
#else
          :: pin[slot] && sequence_of[slot] == sequence ->
#endif
             atomic {
               ensure(sequence > last, twice);
               if
               :: sequence > last + 1 -> miss_until(sequence)
               :: else
               fi;
               last = sequence;
               ensure(missed <= lost_count + writer_deaths, uncounted);
               ensure(payload[slot] == sequence, torn)
             }
             ensure(payload[slot] == sequence, torn);
             unpin(slot)
#ifndef PINS_NOT_JUDGED
          :: else -> mark[slot] = false
#endif
          fi;
          atomic { slot = NONE; sequence = 0 }
       fi
    od;
    if
    :: drained                          /* stays, and holds nothing: see the end of Writer */
    :: else ->
       /* close() */
       lock_lifecycle(READER);
       active_bit = false;
       clear_pins();
       lane_held = false;
       lifecycle = 0;
       atomic { reader_there = false; next_reader() }
    fi
  } unless {
    kill_reader ->
    atomic {
      kill_reader = false;
      lane_held = false;
      if
      :: lifecycle == READER -> lifecycle = 0
      :: else
      fi;
      lost_before = 0; joined_after = 0; begun_then = 0; evictions_then = 0; last = 0; missed = 0; i = 0;
      slot = 0; sequence = 0; position = 0; late_slot = 0; already = false; no_writer = false;
      reader_there = false;
      next_reader()
    }
  }
}

proctype Killer() {
end:
  do
  :: atomic { reader_deaths < READER_DEATHS && reader_there && !drained && !kill_reader -> reader_deaths++; kill_reader = true }
  :: atomic { writer_deaths < WRITER_DEATHS && writer_held && !published_all && !kill_writer ->
              writer_deaths++; kill_writer = true }
  od
}

init {
  atomic {
    run Writer();
    next_reader();
    if
    :: READER_DEATHS + WRITER_DEATHS > 0 -> run Killer()
    :: else
    fi
  }
}
