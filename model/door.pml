/*
 * The door of a segment: is everybody who comes by the same name on the same segment, and is none removed that
 * somebody is on?
 *
 * Mirrors, system call by system call,
 *   native/include/millrace/segment.hpp          Segment::enter (attach_or_create; of a name), lock_lifecycle, attach,
 *                                                claim, settle, resign, unlink
 *   native/include/millrace/unlink.hpp           unlink_channel
 *   native/include/millrace/queue_side.hpp       QueueSide::enter, take_role, leave
 *   native/include/millrace/upkeep/inspection.hpp  Inspection::sweep (S1 to S6 of upkeep.hpp)
 *   native/include/millrace/os/linux/file_lock.hpp  try_exclusive, held_by_other, unlinked
 *
 * An object is an inode: it lives while the name leads to it or a descriptor is open. Its size is 0 until its
 * maker has given it one, its header is READY at the end. Locks are per open file description and are dropped by
 * the kernel when the process dies, which may happen before every step. Shared memory is sequentially consistent
 * here: everything is ordered by system calls.
 *
 * Bounds: PROCESSES come one or several times (VISITS each) for one of two roles; DEATHS of them are killed,
 * FAILURES of them find no space for what they have created; REMOVERS call unlink() of the name once, whoever is on
 * it; SWEEPERS remove it if nobody is. OBJECTS inodes are enough for all of them.
 *
 * run three-come         -DPROCESSES=3
 * run two-come-twice     -DPROCESSES=2 -DVISITS=2 -DFAILURES=1
 * run one-dies           -DPROCESSES=3 -DDEATHS=1
 * run swept              -DPROCESSES=2 -DSWEEPERS=1 -DDEATHS=1 -DFAILURES=1
 * run unlinked           -DPROCESSES=2 -DREMOVERS=1 -DDEATHS=1
 * deep everything        -DPROCESSES=2 -DREMOVERS=1 -DSWEEPERS=1 -DDEATHS=1 -DFAILURES=1
 * deep often             -DPROCESSES=2 -DVISITS=3 -DDEATHS=1 -DSWEEPERS=1
 * deep three-twice       -DPROCESSES=3 -DVISITS=2 -DDEATHS=1
 * broken NO_LIFECYCLE_LOCK  harmed    | the last one removes the name without the lifecycle lock
 * broken NO_SECOND_LOOK     apart     | whoever got the lifecycle lock does not look whether the name still leads there | -DFAILURES=1
 * broken JUDGED_BEFORE_LOCK harmed    | whether anybody is alive is asked before the lock is taken
 * broken ROLE_AFTER_SETTLE  harmed    | the role is taken when the lifecycle lock has been given back
 * broken RESIGNED_LATE      left      | the last one looks for others before it has resigned
 * broken HALF_MADE_USED     half_made | READY is not looked at | -DDEATHS=1
 * broken OPEN_OR_CREATE     harmed    | an object is created although there is one: O_EXCL left out
 * broken UNLINKED_UNLOCKED  harmed    | unlink() that does not get the lock in time removes the name all the same | -DREMOVERS=1
 * broken SWEPT_UNLOCKED     apart     | a sweeper that does not get the lock in time removes the name all the same | -DSWEEPERS=1
 * broken SWEPT_BY_NAME      harmed    | a sweeper does not look whether the name still leads to what it has judged | -DSWEEPERS=1 -DDEATHS=1
 * broken SWEPT_UNJUDGED     harmed    | a sweeper judges before it has the lock | -DSWEEPERS=1 -DDEATHS=1
 */

#ifndef PROCESSES
#define PROCESSES 3
#endif
#ifndef VISITS
#define VISITS 1
#endif
#ifndef DEATHS
#define DEATHS 0
#endif
#ifndef REMOVERS
#define REMOVERS 0
#endif
#ifndef SWEEPERS
#define SWEEPERS 0
#endif
#ifndef FAILURES
#define FAILURES 0
#endif
#define OBJECTS 9
#define EVERYBODY (PROCESSES + REMOVERS + SWEEPERS)

/* Why a run is wrong: the name is in the checker's message. */
bool apart, harmed, left, half_made;
#define ensure(condition, otherwise) assert((condition) || otherwise)

typedef Object {
  bool sized, ready;
  byte lifecycle;               /* byte 0: who has locked it, 0: nobody */
  byte role[2]                  /* bytes 1 and 2 */
}
Object object[OBJECTS];         /* none has the number 0 */
byte name;                      /* the object that it leads to, 0: none */
byte objects;

byte on[EVERYBODY + 1];         /* which object this one believes to be on; for the properties alone */
byte deaths, failures, running;
bool killed[EVERYBODY + 1];

#define anyone_else(o) (object[o].role[0] + object[o].role[1] - (object[o].role[mine] == me -> me : 0) != 0)

/* place_.remove(): by name, so whatever it leads to now. */
inline remove_name() {
  d_step {
    if
    :: name != 0 ->
       ensure(name == fd, harmed);
       for (i : 1 .. EVERYBODY) { ensure(on[i] != name || i == me, harmed) }
       i = 0
    :: else
    fi;
    name = 0
  }
}

/* lock_lifecycle, with a deadline that does not pass. */
inline lock_lifecycle() {
  atomic { object[fd].lifecycle == 0 -> object[fd].lifecycle = me }
}

/* The kernel drops what belongs to the open file description. */
inline close() {
  d_step {
    if
    :: fd != 0 ->
       if
       :: object[fd].lifecycle == me -> object[fd].lifecycle = 0
       :: else
       fi;
       if
       :: object[fd].role[mine] == me -> object[fd].role[mine] = 0
       :: else
       fi
    :: else
    fi;
    on[me] = 0;
    fd = 0
  }
}

/* Segment::enter, of attach_or_create. Afterwards fd is the segment, and the lifecycle lock is held. */
inline enter() {
  do
  :: /* shm_open */
#ifndef OPEN_OR_CREATE
     fd = name;
#endif
     if
     :: fd != 0
     :: else ->
        /* shm_open(O_CREAT | O_EXCL) */
        atomic {
#ifndef OPEN_OR_CREATE
          if
          :: name != 0 -> goto again   /* exists: somebody was faster */
          :: else
          fi;
#endif
          objects++;
          assert(objects < OBJECTS);
          fd = objects;
          name = fd
        }
     fi;
#ifdef JUDGED_BEFORE_LOCK
     alive = anyone_else(fd);
#endif
     lock_lifecycle();
     /* place_.confirm() */
#ifndef NO_SECOND_LOOK
     if
     :: name != fd -> close(); goto again
     :: else
     fi;
#endif
     if
     :: !object[fd].sized ->
        /* begin() */
        if
        :: failures < FAILURES ->
           failures++;
           remove_name();
           close();
           taken = false;
           goto gave_up
        :: true
        fi;
        object[fd].sized = true;
        object[fd].ready = true;
        break
     :: else ->
#ifndef JUDGED_BEFORE_LOCK
        alive = anyone_else(fd);
#endif
        usable = object[fd].ready;
#ifdef HALF_MADE_USED
        usable = true;
        if
        :: true -> break                /* whoever is on it */
        :: alive
        fi;
#endif
        if
        :: !alive ->
           /* Stale, half-made or unreadable, and nobody is on it. Segment::unlink */
           if
           :: name == fd -> remove_name()
           :: else
           fi;
           close()
        :: else ->
           ensure(usable, half_made);
           break
        fi
     fi;
again:
     skip;
     d_step { alive = false; usable = false }
  od
}

inline claim() {
  if
  :: atomic {
       object[fd].role[mine] == 0 ->
       object[fd].role[mine] = me;
       on[me] = fd;
       ensure(object[fd].ready, half_made);
#if REMOVERS == 0
       for (i : 1 .. PROCESSES) { ensure(on[i] == 0 || on[i] == fd, apart) }
       i = 0;
#endif
       taken = true
     }
  :: object[fd].role[mine] != 0 -> taken = false      /* role_taken */
  fi
}

proctype Visitor(byte me; byte mine) {
  byte fd, i, visits;
  bool alive, usable, taken, last;
  {
    do
    :: visits < VISITS ->
       visits++;
       enter();
#ifdef ROLE_AFTER_SETTLE
       object[fd].lifecycle = 0;
#endif
       claim();
       if
       :: !taken -> close()
       :: else ->
          /* settle() */
#ifndef ROLE_AFTER_SETTLE
          object[fd].lifecycle = 0;
#endif
          skip;                         /* uses it */
          /* QueueSide::leave */
#ifndef NO_LIFECYCLE_LOCK
          lock_lifecycle();
#endif
#ifdef RESIGNED_LATE
          last = object[fd].role[1 - mine] == 0 && object[fd].role[mine] == 0;
#endif
          atomic { object[fd].role[mine] = 0; on[me] = 0 }
#ifndef RESIGNED_LATE
          last = !anyone_else(fd);
#endif
          if
          :: last ->
             /* Segment::unlink */
             if
             :: name == fd -> remove_name()
             :: else
             fi
          :: else
          fi;
          close()
       fi;
gave_up:
       skip;
       d_step { alive = false; usable = false; taken = false; last = false }
    :: else -> break
    od;
    running--
  } unless {
    killed[me] ->
    atomic { i = 0; close(); alive = false; usable = false; taken = false; last = false; running-- }
  }
}

/* unlink_channel */
proctype Remover(byte me) {
  byte fd, i;
  byte mine;                    /* has no role */
  fd = name;
  if
  :: fd != 0 ->
     if
     :: atomic { object[fd].lifecycle == 0 -> object[fd].lifecycle = me } ->
        if
        :: name == fd -> name = 0
        :: else
        fi
     :: object[fd].lifecycle != 0 ->
        /* A hundred milliseconds are over. */
#ifdef UNLINKED_UNLOCKED
        if
        :: name == fd -> name = 0
        :: else
        fi
#else
        skip
#endif
     fi;
     d_step {
       if
       :: object[fd].lifecycle == me -> object[fd].lifecycle = 0
       :: else
       fi
     }
  :: else
  fi;
  running--
}

/* Inspection::sweep */
proctype Sweeper(byte me) {
  byte fd, i, mine;
  bool held;
  fd = name;
#ifdef SWEPT_UNJUDGED
  held = object[fd].role[0] + object[fd].role[1] != 0;
#endif
  if
  :: fd != 0 ->
     if
     :: atomic { object[fd].lifecycle == 0 -> object[fd].lifecycle = me }
     :: object[fd].lifecycle != 0 ->
        /* Its patience is over. */
#ifndef SWEPT_UNLOCKED
        goto done
#else
        skip
#endif
     fi;
#ifndef SWEPT_BY_NAME
     if
     :: name == fd
     :: else -> goto done
     fi;
#endif
#ifndef SWEPT_UNJUDGED
     held = object[fd].role[0] + object[fd].role[1] != 0;
#endif
     if
     :: !held -> remove_name()
     :: else
     fi
  :: else
  fi;
done:
  close();
  running--
}

proctype Killer() {
  byte victim;
end:
  do
  :: atomic {
       deaths < DEATHS && running > 0 ->
       select(victim : 1 .. PROCESSES);
       deaths++;
       killed[victim] = true;
       victim = 0
     }
  od
}

init {
  byte n;
  atomic {
    running = EVERYBODY;
    for (n : 1 .. PROCESSES) { run Visitor(n, n % 2) }
#if REMOVERS > 0
    for (n : 1 .. REMOVERS) { run Remover(PROCESSES + n) }
#endif
#if SWEEPERS > 0
    for (n : 1 .. SWEEPERS) { run Sweeper(PROCESSES + REMOVERS + n) }
#endif
    if
    :: DEATHS > 0 -> run Killer()
    :: else
    fi;
    n = 0
  }
  running == 0 -> ensure(name == 0 || deaths > 0, left)
}
