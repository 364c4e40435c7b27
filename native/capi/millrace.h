/*
 * millrace from C: queues, frames, cells, locks, events, counters, memory, jobs and topics that are shared with other processes,
 * whether these are written in C, in TypeScript, or in another language that calls these functions. Link with -lmillrace.
 *
 * Every function
 *   - returns int32_t, unless it says otherwise: 0 (MILLRACE_OK) or a number that it documents if it is done, and a negative
 *     enum millrace_code if not. millrace_last_error() then tells this thread why, and what to do about it. Where a code is said
 *     to be no error (WOULD_BLOCK, END, INTERRUPTED), nothing is noted.
 *   - refuses NULL for what it needs (INVALID_ARGUMENT), before anything is done.
 *   - leaves what its last arguments point to untouched when it fails, unless it says otherwise.
 *
 * Names are those of TypeScript: 1 to 240 of A-Z a-z 0-9 . _ -, without a leading dot, one namespace per kind. Where a `place` is
 * asked for, "file:PATH" is a mapped file, and "fd:NUMBER" nameless memory (a memfd that was handed over; the descriptor stays
 * the caller's). A semaphore has a name and nothing else.
 *
 * Options: zero is the default of every member. A program zeroes the struct and sets `size` to its sizeof; NULL is all defaults. So a
 * program that was built with this header goes on working with a later library, whose structs are longer. What is said of sizes and
 * other properties is compared with what is there already: GEOMETRY if that is otherwise.
 *
 * Time-outs are nanoseconds: MILLRACE_FOREVER (-1) waits as long as it takes, 0 not at all (then TIMEOUT at once).
 *
 * Threads: a handle is used by one thread at a time; another thread that comes meanwhile gets BUSY, as far as that is noticed (it is for
 * certain while the first one waits, and always after millrace_careful(1)). close and abort alone may be called at any time: a call that waits in another thread ends with
 * CLOSED within about 20 ms, and close returns after that. Two threads that both want to push, pop, lock, ... open a handle each.
 *
 * Ending: close leaves (others see it), and returns CLOSED if that has been done before. The handle stays valid for every call,
 * which then returns CLOSED, until free, which closes what is still open. free(NULL) does nothing. A handle must not be used in or
 * after its free.
 *
 * fork: in a child, handles of the parent return FORKED from every call, close and free touch nothing that is shared. The child opens
 * its own. As long as a child that does not call exec lives, the death of its parent is not noticed: it has inherited the locks.
 *
 * Signals: a call that blocks goes on after a signal. millrace_interrupt() ends those that block at that moment with INTERRUPTED; a
 * signal handler may call it. Nothing else here may be called in a handler.
 *
 * Event loops: X_fd() gives a descriptor for poll, epoll, kqueue, asyncio. The rule:
 *   1. do what can be done, until it says WOULD_BLOCK;
 *   2. X_arm(): 1 (MILLRACE_READY): go to 1; 0: whatever comes from now on makes the descriptor readable;
 *   3. wait until the descriptor is readable, alone or with others, and go to 1.
 * Of work queues and topics X_arm() does not look for room, since how much is needed it does not know: after MILLRACE_FOR_ROOM try once
 * more before you wait.
 * Nobody reads from the descriptor: X_arm() empties it, X_disarm() as well, which takes the wish back. It tells also of a peer that
 * leaves or dies, of what becomes due, and now and then of nothing. It belongs to the handle, which closes it.
 *
 * Nothing is thrown across this border. Memory that runs out ends the process (abort).
 */
#ifndef MILLRACE_H
#define MILLRACE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default)
#endif

/* --- what went wrong --- */

/* What a function returns that is not done. The names without MILLRACE_ are those of the errors of TypeScript (ERR_MILLRACE_TIMEOUT). */
enum millrace_code {
  MILLRACE_OK = 0,
  MILLRACE_READY = 1,     /* of X_arm(): there is something to do already */
  MILLRACE_ABANDONED = 1, /* of locks: taken, and whoever had it last died inside */
  MILLRACE_DUPLICATE = 1, /* of pushes: a job of that id was pushed lately, this one was not */

  MILLRACE_INVALID_ARGUMENT = -1,
  MILLRACE_INVALID_NAME = -2,
  MILLRACE_NAME_TOO_LONG = -3,
  MILLRACE_EXISTS = -4,
  MILLRACE_NOT_FOUND = -5,
  MILLRACE_PERMISSION = -6,
  MILLRACE_NOT_OURS = -7,
  MILLRACE_GEOMETRY = -8,
  MILLRACE_SCHEMA = -9,
  MILLRACE_LAYOUT = -10,
  MILLRACE_CORRUPT = -11,
  MILLRACE_ROLE_TAKEN = -12,
  MILLRACE_NO_LANE = -13,
  MILLRACE_PEER_GONE = -14,
  MILLRACE_PEER_FAILED = -15,
  MILLRACE_NO_RESPONDER = -16,
  MILLRACE_UNREACHABLE = -17,
  MILLRACE_PROTOCOL = -18,
  MILLRACE_CLOSED = -19,
  MILLRACE_BUSY = -20,
  MILLRACE_TOO_LARGE = -21,
  MILLRACE_INCOMPLETE = -22,
  MILLRACE_NO_SPACE = -23,
  MILLRACE_ABORTED = -24,
  MILLRACE_TIMEOUT = -25,
  MILLRACE_RELEASED = -26,
  MILLRACE_TOO_MANY_HELD = -27,
  MILLRACE_LEASE_LOST = -28,
  MILLRACE_CIRCUIT_OPEN = -29,
  MILLRACE_MISSING_PEER = -30,
  MILLRACE_UNSUPPORTED = -31,
  MILLRACE_UNSUPPORTED_PLATFORM = -32,
  MILLRACE_UNSUPPORTED_RUNTIME = -33,
  MILLRACE_SYSTEM = -34,

  /* Of C alone. */
  MILLRACE_FORKED = -100,      /* the handle is the parent's; open one in this process */
  MILLRACE_WOULD_BLOCK = -101, /* no error: not now */
  MILLRACE_END = -102, /* no error: the peer has closed, and everything it sent has been received */
  MILLRACE_INTERRUPTED = -103 /* no error: millrace_interrupt() was called meanwhile */
};

/* Wait as long as it takes. */
enum { MILLRACE_FOREVER = -1 };

typedef struct millrace_error {
  int32_t code;        /* enum millrace_code; 0: nothing has failed on this thread yet */
  int32_t number;      /* errno of the system call that failed, 0 if none did */
  const char* message; /* the cause and the cure, in English; never NULL */
  const char* syscall; /* "shm_open"; NULL: no system call was involved */
  const char* path;    /* what it was about; NULL: nothing in particular */
} millrace_error;

/* The last failure of a call of this thread. Good until the next one fails, or the thread ends. Never NULL. */
const millrace_error* millrace_last_error(void);
/* Its message; "" if nothing has failed. */
const char* millrace_last_error_message(void);
/* "TIMEOUT" of MILLRACE_TIMEOUT; "OK" of 0 and above, "UNKNOWN" of what is none. Never NULL. */
const char* millrace_code_name(int32_t code);

/* "1.2.3": the version of the library, which is that of the npm package. */
const char* millrace_version(void);

/* Ends all calls of this process that block at this moment, in all threads, with INTERRUPTED, within about 20 ms; later ones are not
 * concerned. Safe in signal handlers. A language that has signal handlers of its own (Python) rather calls with short time-outs
 * and looks in between. */
void millrace_interrupt(void);

/* With `on` not 0 every call of this process notices for certain that another thread is in its handle: BUSY. Costs some nanoseconds a call; for
 * languages in which no mistake may crash. To be called before anything is opened. */
void millrace_careful(int32_t on);

/* CLOCK_MONOTONIC, as frames and cells are stamped by. Nanoseconds. */
uint64_t millrace_now(void);

/* --- what all options have --- */

enum millrace_flag {
  MILLRACE_KEEP = 1,  /* content stays when everybody has gone */
  MILLRACE_FRESH = 2, /* queue: begin without what earlier sessions left */
  MILLRACE_REPLACE =
      4, /* frame writer: take the name from a channel of another geometry that is in use */
  MILLRACE_HAS_OWNER = 8,   /* `owner` is set: that user's objects are accepted, not this user's */
  MILLRACE_HUGE_PAGES = 16, /* memory: as in TypeScript's `memory` option */
  MILLRACE_LOCK_MEMORY = 32,
  MILLRACE_PREFAULT = 64,
  MILLRACE_ZERO_ON_CLOSE = 128,
  MILLRACE_READ_ONLY = 256, /* shared memory: can be read; what is written stays in this process */
  MILLRACE_OPEN_ONLY =
      512, /* semaphore, work queue, topics: NOT_FOUND if there is none, instead of creating it */
  MILLRACE_CREATE_ONLY = 1024,   /* semaphore: EXISTS if there is one */
  MILLRACE_NO_TIMESTAMPS = 2048, /* cell writer: values do not say when they were written */
  MILLRACE_HAS_AFTER = 4096      /* frame reader: `after` is set */
};

/* The members that every options struct begins with. A struct of its own for what has no others. */
typedef struct millrace_options {
  uint64_t size; /* sizeof the whole struct */
  uint32_t
      mode; /* 0600 (default), 0640 or 0660 of a new object; the widest accepted of an existing one */
  uint32_t flags;  /* of enum millrace_flag; others than apply are INVALID_ARGUMENT */
  uint32_t owner;  /* user id, with MILLRACE_HAS_OWNER */
  int32_t spin_us; /* microseconds to look before a sleep, if that lately paid; 0: 50, -1: none */
  uint64_t
      schema; /* fingerprint of what the bytes mean, as `schema` in TypeScript; 0: not said. Others: SCHEMA */
} millrace_options;

/* How the other side of a channel is doing. */
enum millrace_peer_state {
  MILLRACE_PEER_ABSENT = 0, /* nobody was there yet */
  MILLRACE_PEER_ATTACHED = 1,
  MILLRACE_PEER_CLOSED = 2, /* left in good order */
  MILLRACE_PEER_DIED = 3,
  MILLRACE_PEER_ABORTED = 4 /* left saying that it failed: `reason` */
};

typedef struct millrace_peer {
  uint64_t size;
  int32_t state;
  uint32_t pid;     /* of the one that is or was there; 0: none */
  char reason[208]; /* UTF-8, ends with a NUL; "" unless it said why it failed */
} millrace_peer;

/* Removes the name of a channel, whoever is on it: they go on, others get a new one. `kind` is one of "queue", "frames", "cell",
 * "mutex", "rwlock", "event", "counter", "semaphore", "memory", "work", "topics". 1: there was one; 0: there was none. */
int32_t millrace_unlink(const char* kind, const char* name);

/* --- queue: one producer, one consumer, messages of any length in order --- */

typedef struct millrace_queue_producer millrace_queue_producer;
typedef struct millrace_queue_consumer millrace_queue_consumer;

typedef struct millrace_queue_options {
  uint64_t size;
  uint32_t mode;
  uint32_t flags; /* KEEP, FRESH, HAS_OWNER, memory */
  uint32_t owner;
  int32_t spin_us;
  uint64_t schema;
  uint64_t
      capacity; /* bytes, rounded up to a power of two from 4 KiB to 1 GiB; 0: what is there or the other side says, else 256 KiB */
} millrace_queue_options;

/* ROLE_TAKEN: there is a producer. Either side may come first. */
int32_t millrace_queue_producer_open(const char* place, const millrace_queue_options* options,
                                     millrace_queue_producer** producer);
/* Sends a copy of `length` bytes. TOO_LARGE: longer than millrace_queue_producer_max_message(). CLOSED, PEER_FAILED, PEER_GONE: the consumer has
 * left while there is no room. */
int32_t millrace_queue_push(millrace_queue_producer* producer, const void* message, uint64_t length,
                            int64_t timeout_ns);
/* WOULD_BLOCK: no room now. */
int32_t millrace_queue_try_push(millrace_queue_producer* producer, const void* message,
                                uint64_t length);
/* Sends as many of `count` messages as there is room for, at once: message i is the next lengths[i] bytes. Returns how many, 0 if there is
 * no room for the first; TOO_LARGE if the first never fits, or `bytes` are fewer than it needs. */
int64_t millrace_queue_try_push_many(millrace_queue_producer* producer, const void* messages,
                                     uint64_t bytes, const uint32_t* lengths, uint64_t count);
/* Room for a message of at most `length` bytes in the queue itself; nothing is sent before the commit. A later reserve or push takes its
 * place. It stays mapped until the free. */
int32_t millrace_queue_reserve(millrace_queue_producer* producer, uint64_t length,
                               int64_t timeout_ns, void** room);
int32_t millrace_queue_try_reserve(millrace_queue_producer* producer, uint64_t length, void** room);
/* Sends the first `length` bytes of what was reserved last. INVALID_ARGUMENT: nothing is reserved, or less. */
int32_t millrace_queue_commit(millrace_queue_producer* producer, uint64_t length);
/* Waits until the consumer has read everything, and closes. It stays open if it fails. */
int32_t millrace_queue_end(millrace_queue_producer* producer, int64_t timeout_ns);
/* Waits until somebody is at the other side. */
int32_t millrace_queue_producer_wait_peer(millrace_queue_producer* producer, int64_t timeout_ns);
int32_t millrace_queue_producer_peer(millrace_queue_producer* producer, millrace_peer* peer);
/* Bytes of the ring; what a message takes is its length + 8, rounded up to 8. Decides how large it is, if nobody has. */
int64_t millrace_queue_producer_capacity(millrace_queue_producer* producer);
/* The longest message. */
int64_t millrace_queue_producer_max_message(millrace_queue_producer* producer);
/* Bytes that are free. */
int64_t millrace_queue_producer_room(millrace_queue_producer* producer);
/* Messages that opening with MILLRACE_FRESH has dropped. */
int64_t millrace_queue_producer_discarded(millrace_queue_producer* producer);
int32_t millrace_queue_producer_fd(millrace_queue_producer* producer);
/* For room for a message of `length` bytes. */
int32_t millrace_queue_producer_arm(millrace_queue_producer* producer, uint64_t length);
int32_t millrace_queue_producer_disarm(millrace_queue_producer* producer);
/* What is unread waits for the next consumer; with `discard` (not 0) it is dropped if nobody is there. */
int32_t millrace_queue_producer_close(millrace_queue_producer* producer, int32_t discard);
/* Closes, and the consumer gets PEER_FAILED with this reason (UTF-8, 200 bytes are kept) when it has read what was sent. */
int32_t millrace_queue_producer_abort(millrace_queue_producer* producer, const char* reason);
void millrace_queue_producer_free(millrace_queue_producer* producer);

/* ROLE_TAKEN: there is a consumer. */
int32_t millrace_queue_consumer_open(const char* place, const millrace_queue_options* options,
                                     millrace_queue_consumer** consumer);
/* Copies the oldest message to `buffer`. TOO_LARGE: it has more than `size` bytes, which *length tells, and stays where it is. END,
 * PEER_FAILED, PEER_GONE: the producer has left, and everything is read. `length` may be NULL only if size is 0. */
int32_t millrace_queue_pop(millrace_queue_consumer* consumer, void* buffer, uint64_t size,
                           uint64_t* length, int64_t timeout_ns);
/* WOULD_BLOCK: there is none now. */
int32_t millrace_queue_try_pop(millrace_queue_consumer* consumer, void* buffer, uint64_t size,
                               uint64_t* length);
/* Copies as many messages as are there and fit, one behind the other, their lengths to lengths[0 ..]. Returns how many (1 or more),
 * WOULD_BLOCK if there is none, TOO_LARGE if the first does not fit, END, PEER_FAILED, PEER_GONE. */
int64_t millrace_queue_try_pop_many(millrace_queue_consumer* consumer, void* buffer, uint64_t size,
                                    uint32_t* lengths, uint64_t count);
/* The oldest message where it lies, until millrace_queue_release() or a pop. Read only: a producer in another process sees what is
 * written. It stays mapped until the free. */
int32_t millrace_queue_peek(millrace_queue_consumer* consumer, const void** message,
                            uint64_t* length, int64_t timeout_ns);
int32_t millrace_queue_try_peek(millrace_queue_consumer* consumer, const void** message,
                                uint64_t* length);
/* Gives back what was peeked. INVALID_ARGUMENT: nothing was. */
int32_t millrace_queue_release(millrace_queue_consumer* consumer);
int32_t millrace_queue_consumer_wait_peer(millrace_queue_consumer* consumer, int64_t timeout_ns);
int32_t millrace_queue_consumer_peer(millrace_queue_consumer* consumer, millrace_peer* peer);
/* Bytes of messages that are there, each with its header of 8, rounded up to 8. */
int64_t millrace_queue_consumer_available(millrace_queue_consumer* consumer);
int64_t millrace_queue_consumer_discarded(millrace_queue_consumer* consumer);
int32_t millrace_queue_consumer_fd(millrace_queue_consumer* consumer);
int32_t millrace_queue_consumer_arm(millrace_queue_consumer* consumer);
int32_t millrace_queue_consumer_disarm(millrace_queue_consumer* consumer);
int32_t millrace_queue_consumer_close(millrace_queue_consumer* consumer, int32_t discard);
int32_t millrace_queue_consumer_abort(millrace_queue_consumer* consumer, const char* reason);
void millrace_queue_consumer_free(millrace_queue_consumer* consumer);

/* --- frames: one writer, up to 62 readers, who read in place --- */

typedef struct millrace_frame_writer millrace_frame_writer;
typedef struct millrace_frame_reader millrace_frame_reader;

typedef struct millrace_frame_writer_options {
  uint64_t size;
  uint32_t mode;
  uint32_t flags; /* KEEP, REPLACE, memory */
  uint32_t owner;
  int32_t spin_us;
  uint64_t schema;
  uint64_t slot_bytes; /* of the largest frame; must be said */
  uint32_t slots;      /* 2 to 4096; 0: 8 */
  uint32_t readers;    /* at most, 1 to 62; 0: 8 */
  uint32_t history;    /* past frames that are kept for who joins */
  uint32_t alignment;  /* of payloads: 64 (0) to the size of a page, a power of two */
} millrace_frame_writer_options;

/* A slot on loan, to be published or discarded. Several may be out at once. */
typedef struct millrace_slot {
  void* data;        /* holds what was there last */
  uint64_t capacity; /* bytes */
  void* header;      /* 64 bytes beside the frame, for facts about it */
  uint32_t slot;
  uint32_t reserved;
} millrace_slot;

int32_t millrace_frame_writer_open(const char* place, const millrace_frame_writer_options* options,
                                   millrace_frame_writer** writer);
/* A slot to write into. TIMEOUT, or WOULD_BLOCK: readers that must not miss a frame, or that hold theirs, have all. */
int32_t millrace_frame_acquire(millrace_frame_writer* writer, int64_t timeout_ns,
                               millrace_slot* slot);
int32_t millrace_frame_try_acquire(millrace_frame_writer* writer, millrace_slot* slot);
/* Hands the first `length` bytes to all readers. `timestamp`: nanoseconds, 0: millrace_now(). `sequence` (may be NULL): frames count from 1
 * on. INVALID_ARGUMENT: not on loan, or longer than the slot, which is still on loan then. */
int32_t millrace_frame_publish(millrace_frame_writer* writer, const millrace_slot* slot,
                               uint64_t length, uint64_t timestamp, uint64_t* sequence);
/* Gives a slot back. INVALID_ARGUMENT: not on loan. */
int32_t millrace_frame_discard(millrace_frame_writer* writer, const millrace_slot* slot);
/* Acquires, copies, publishes; `header` may be NULL (then it is zeroes) or has 64 bytes. */
int32_t millrace_frame_send(millrace_frame_writer* writer, const void* data, uint64_t length,
                            const void* header, int64_t timeout_ns, uint64_t* sequence);
/* Readers that are attached and alive. */
int32_t millrace_frame_writer_readers(millrace_frame_writer* writer);
int32_t millrace_frame_writer_wait_readers(millrace_frame_writer* writer, uint32_t count,
                                           int64_t timeout_ns);
/* Of the frame published last; 0: none. */
int64_t millrace_frame_writer_sequence(millrace_frame_writer* writer);
int32_t millrace_frame_writer_fd(millrace_frame_writer* writer);
/* For a free slot. */
int32_t millrace_frame_writer_arm(millrace_frame_writer* writer);
int32_t millrace_frame_writer_disarm(millrace_frame_writer* writer);
int32_t millrace_frame_writer_close(millrace_frame_writer* writer);
int32_t millrace_frame_writer_abort(millrace_frame_writer* writer, const char* reason);
void millrace_frame_writer_free(millrace_frame_writer* writer);

/* What becomes of frames for a reader that is too slow. */
enum millrace_frame_policy {
  MILLRACE_FRAME_WAIT = 0,            /* the writer waits for it */
  MILLRACE_FRAME_DROP_NEWEST = 1,     /* it does not get the new frame */
  MILLRACE_FRAME_OVERWRITE_OLDEST = 2 /* its oldest queued frame is taken back */
};

typedef struct millrace_frame_reader_options {
  uint64_t size;
  uint32_t mode;
  uint32_t flags; /* HAS_OWNER, HAS_AFTER, LOCK_MEMORY, PREFAULT */
  uint32_t owner;
  int32_t spin_us;
  uint64_t schema;
  uint32_t policy;   /* enum millrace_frame_policy */
  uint32_t depth;    /* frames that may queue up; 0: what suits the policy */
  uint32_t history;  /* past frames wanted on joining */
  uint32_t max_held; /* frames held at once; 0: all slots but two */
  uint64_t
      after; /* with HAS_AFTER: only frames behind that sequence, as far back as the history goes */
  uint64_t
      after_instance; /* of the channel that `after` is of (millrace_frame_reader_instance); 0: this one */
} millrace_frame_reader_options;

/* A received frame, where it lies: read only, and good until its release. */
typedef struct millrace_frame {
  const void* data;
  uint64_t length;
  const void* header; /* 64 bytes */
  uint64_t sequence;
  uint64_t timestamp; /* nanoseconds */
  uint64_t missed;    /* frames between the one received before and this one */
  uint32_t slot;
  uint32_t reserved;
} millrace_frame;

typedef struct millrace_frame_reader_counts {
  uint64_t size;
  uint64_t received;
  uint64_t lost; /* the writer could not deliver them: dropped or taken back, as the policy says */
  uint64_t skipped; /* passed over by millrace_frame_newest() */
  uint64_t waiting; /* queued for this reader */
  uint64_t held;
  uint64_t joined_after; /* sequence of the last frame before it joined */
} millrace_frame_reader_counts;

/* Waits up to `timeout_ns` for a channel with a writer: then NOT_FOUND. NO_LANE: as many readers as there may be. */
int32_t millrace_frame_reader_open(const char* place, const millrace_frame_reader_options* options,
                                   int64_t timeout_ns, millrace_frame_reader** reader);
/* The oldest frame that was not received. TOO_MANY_HELD: release some. END, PEER_FAILED, PEER_GONE: the writer has left, and all it published
 * is received. */
int32_t millrace_frame_next(millrace_frame_reader* reader, int64_t timeout_ns,
                            millrace_frame* frame);
int32_t millrace_frame_try_next(millrace_frame_reader* reader, millrace_frame* frame);
/* The newest; older ones are passed over and counted. */
int32_t millrace_frame_newest(millrace_frame_reader* reader, int64_t timeout_ns,
                              millrace_frame* frame);
int32_t millrace_frame_try_newest(millrace_frame_reader* reader, millrace_frame* frame);
/* RELEASED: it is not held (any more). */
int32_t millrace_frame_release(millrace_frame_reader* reader, const millrace_frame* frame);
int32_t millrace_frame_reader_counts_of(millrace_frame_reader* reader,
                                        millrace_frame_reader_counts* counts);
int32_t millrace_frame_reader_peer(millrace_frame_reader* reader, millrace_peer* peer);
/* Bytes of a slot, which is as long as a frame can be. */
int64_t millrace_frame_reader_slot_bytes(millrace_frame_reader* reader);
/* A random number of this channel, for `after_instance`. 0 once closed. */
uint64_t millrace_frame_reader_instance(millrace_frame_reader* reader);
int32_t millrace_frame_reader_fd(millrace_frame_reader* reader);
int32_t millrace_frame_reader_arm(millrace_frame_reader* reader);
int32_t millrace_frame_reader_disarm(millrace_frame_reader* reader);
/* Frames that are held go back. What their pointers point to stays mapped until the free, and shows anything. */
int32_t millrace_frame_reader_close(millrace_frame_reader* reader);
void millrace_frame_reader_free(millrace_frame_reader* reader);

/* --- cell: the newest value of one writer, for any number of readers --- */

typedef struct millrace_cell_writer millrace_cell_writer;
typedef struct millrace_cell_reader millrace_cell_reader;

typedef struct millrace_cell_writer_options {
  uint64_t size;
  uint32_t mode;
  uint32_t flags; /* KEEP, HAS_OWNER, NO_TIMESTAMPS */
  uint32_t owner;
  int32_t spin_us;
  uint64_t schema;
  uint64_t max_bytes; /* of a value; must be said */
  uint32_t slots;     /* 2 to 1024; 0: what is there, or 4 */
  uint32_t reserved;
} millrace_cell_writer_options;

typedef struct millrace_cell_value {
  uint64_t version;   /* values count from 1 on */
  uint64_t length;    /* bytes */
  uint64_t timestamp; /* when it was written, as millrace_now(); 0: not said */
} millrace_cell_value;

int32_t millrace_cell_writer_open(const char* place, const millrace_cell_writer_options* options,
                                  millrace_cell_writer** writer);
/* Never blocks. TOO_LARGE: longer than max_bytes. */
int32_t millrace_cell_write(millrace_cell_writer* writer, const void* value, uint64_t length);
/* In place: memory for the next value, which publish shows. It holds the newest value with `copy` (not 0), else anything. */
int32_t millrace_cell_begin(millrace_cell_writer* writer, int32_t copy, void** memory,
                            uint64_t* capacity);
int32_t millrace_cell_publish(millrace_cell_writer* writer, uint64_t length);
/* Of the newest value; 0: none was written. */
int64_t millrace_cell_writer_version(millrace_cell_writer* writer);
int32_t millrace_cell_writer_close(millrace_cell_writer* writer);
void millrace_cell_writer_free(millrace_cell_writer* writer);

/* NOT_FOUND: there is none. */
int32_t millrace_cell_reader_open(const char* place, const millrace_options* options,
                                  millrace_cell_reader** reader);
/* Copies the newest value. WOULD_BLOCK: none was ever written. TOO_LARGE: it has value->length bytes. BUSY: the writer was faster than
 * the copy, time and again. The buffer holds anything unless it is done. */
int32_t millrace_cell_read(millrace_cell_reader* reader, void* buffer, uint64_t size,
                           millrace_cell_value* value);
/* Waits for a version other than `since`, and copies it. PEER_GONE: the writer died meanwhile; END: it has closed. */
int32_t millrace_cell_read_next(millrace_cell_reader* reader, uint64_t since, void* buffer,
                                uint64_t size, int64_t timeout_ns, millrace_cell_value* value);
/* Of the newest value; 0: none. */
int64_t millrace_cell_reader_version(millrace_cell_reader* reader);
/* The longest value there can be. */
int64_t millrace_cell_reader_max_bytes(millrace_cell_reader* reader);
int32_t millrace_cell_reader_peer(millrace_cell_reader* reader, millrace_peer* peer);
int32_t millrace_cell_reader_fd(millrace_cell_reader* reader);
/* For a version other than `since`. */
int32_t millrace_cell_reader_arm(millrace_cell_reader* reader, uint64_t since);
int32_t millrace_cell_reader_disarm(millrace_cell_reader* reader);
int32_t millrace_cell_reader_close(millrace_cell_reader* reader);
void millrace_cell_reader_free(millrace_cell_reader* reader);

/* --- mutex and readers-writer lock: they survive the death of their holder --- */

typedef struct millrace_mutex millrace_mutex;
typedef struct millrace_rwlock millrace_rwlock;

/* NO_LANE: 56 handles are open. A handle holds the lock, not a thread: each thread opens one. */
int32_t millrace_mutex_open(const char* name, const millrace_options* options,
                            millrace_mutex** mutex);
/* 0, or MILLRACE_ABANDONED (1): it is ours as well, and whoever had it died inside; what it protects may be half done. BUSY: this handle has
 * it already. */
int32_t millrace_mutex_lock(millrace_mutex* mutex, int64_t timeout_ns);
int32_t millrace_mutex_try_lock(millrace_mutex* mutex);
/* With `abandoned` (not 0) the next one is told as if we had died. INVALID_ARGUMENT: this handle does not hold it. */
int32_t millrace_mutex_unlock(millrace_mutex* mutex, int32_t abandoned);
/* Process id of who holds it, 0: nobody. A hint. */
int32_t millrace_mutex_holder(millrace_mutex* mutex);
/* For event loops: gets in line. 0 and 1: it is ours at once; WOULD_BLOCK: in line, and millrace_mutex_poll() tells how that stands, with the
 * same answers, whenever the descriptor is readable. */
int32_t millrace_mutex_begin(millrace_mutex* mutex);
int32_t millrace_mutex_poll(millrace_mutex* mutex);
/* Leaves the line. 0: done; BUSY: too late, poll until it says that it is ours. */
int32_t millrace_mutex_withdraw(millrace_mutex* mutex);
int32_t millrace_mutex_fd(millrace_mutex* mutex);
int32_t millrace_mutex_arm(millrace_mutex* mutex);
int32_t millrace_mutex_disarm(millrace_mutex* mutex);
/* Unlocks what it holds, as done. */
int32_t millrace_mutex_close(millrace_mutex* mutex);
void millrace_mutex_free(millrace_mutex* mutex);

int32_t millrace_rwlock_open(const char* name, const millrace_options* options,
                             millrace_rwlock** rwlock);
int32_t millrace_rwlock_read(millrace_rwlock* rwlock, int64_t timeout_ns);
int32_t millrace_rwlock_try_read(millrace_rwlock* rwlock);
int32_t millrace_rwlock_write(millrace_rwlock* rwlock, int64_t timeout_ns);
int32_t millrace_rwlock_try_write(millrace_rwlock* rwlock);
int32_t millrace_rwlock_unlock(millrace_rwlock* rwlock, int32_t abandoned);
/* Process id of the writer inside, 0: none. How many read. Hints. */
int32_t millrace_rwlock_writer(millrace_rwlock* rwlock);
int32_t millrace_rwlock_readers(millrace_rwlock* rwlock);
int32_t millrace_rwlock_begin_read(millrace_rwlock* rwlock);
int32_t millrace_rwlock_begin_write(millrace_rwlock* rwlock);
int32_t millrace_rwlock_poll(millrace_rwlock* rwlock);
int32_t millrace_rwlock_withdraw(millrace_rwlock* rwlock);
int32_t millrace_rwlock_fd(millrace_rwlock* rwlock);
int32_t millrace_rwlock_arm(millrace_rwlock* rwlock);
int32_t millrace_rwlock_disarm(millrace_rwlock* rwlock);
int32_t millrace_rwlock_close(millrace_rwlock* rwlock);
void millrace_rwlock_free(millrace_rwlock* rwlock);

/* --- event --- */

typedef struct millrace_event millrace_event;

enum millrace_event_reset {
  MILLRACE_RESET_ANY = 0,   /* what is there, or automatic */
  MILLRACE_RESET_AUTO = 1,  /* each signal lets one pass */
  MILLRACE_RESET_MANUAL = 2 /* it stays set until it is reset */
};

typedef struct millrace_event_options {
  uint64_t size;
  uint32_t mode;
  uint32_t flags; /* KEEP, HAS_OWNER */
  uint32_t owner;
  int32_t spin_us;
  uint64_t schema;
  uint32_t reset; /* enum millrace_event_reset */
  uint32_t reserved;
} millrace_event_options;

int32_t millrace_event_open(const char* name, const millrace_event_options* options,
                            millrace_event** event);
int32_t millrace_event_set(millrace_event* event);
int32_t millrace_event_reset_now(millrace_event* event);
/* 1 or 0. A hint. */
int32_t millrace_event_is_set(millrace_event* event);
/* 0: it was set; with automatic reset one signal is ours. */
int32_t millrace_event_wait(millrace_event* event, int64_t timeout_ns);
int32_t millrace_event_try_wait(millrace_event* event);
int32_t millrace_event_fd(millrace_event* event);
/* Begins to wait: the next try_wait that succeeds, or disarm, ends that. */
int32_t millrace_event_arm(millrace_event* event);
int32_t millrace_event_disarm(millrace_event* event);
int32_t millrace_event_close(millrace_event* event);
void millrace_event_free(millrace_event* event);

/* --- semaphore: the POSIX named one, which other programs open as "/name" --- */

typedef struct millrace_semaphore millrace_semaphore;

typedef struct millrace_semaphore_options {
  uint64_t size;
  uint32_t mode;  /* 0600 or 0660 */
  uint32_t flags; /* HAS_OWNER, OPEN_ONLY, CREATE_ONLY */
  uint32_t owner;
  int32_t spin_us;
  uint64_t schema;  /* must be 0 */
  uint32_t initial; /* permits of a new one */
  uint32_t reserved;
} millrace_semaphore_options;

/* Its calls may be made by several threads at once, but for arm and disarm. */
int32_t millrace_semaphore_open(const char* name, const millrace_semaphore_options* options,
                                millrace_semaphore** semaphore);
int32_t millrace_semaphore_wait(millrace_semaphore* semaphore, int64_t timeout_ns);
int32_t millrace_semaphore_try_wait(millrace_semaphore* semaphore);
/* All of `count` or none: TOO_LARGE. */
int32_t millrace_semaphore_post(millrace_semaphore* semaphore, uint32_t count);
/* UNSUPPORTED_PLATFORM on macOS. */
int64_t millrace_semaphore_value(millrace_semaphore* semaphore);
int32_t millrace_semaphore_fd(millrace_semaphore* semaphore);
/* A thread of the library waits for one permit, which the next try_wait gets; disarm gives it back. */
int32_t millrace_semaphore_arm(millrace_semaphore* semaphore);
int32_t millrace_semaphore_disarm(millrace_semaphore* semaphore);
int32_t millrace_semaphore_close(millrace_semaphore* semaphore);
void millrace_semaphore_free(millrace_semaphore* semaphore);

/* --- counter: 64 bits, changed by atomic instructions --- */

typedef struct millrace_counter millrace_counter;

typedef struct millrace_counter_options {
  uint64_t size;
  uint32_t mode;
  uint32_t flags; /* KEEP, HAS_OWNER */
  uint32_t owner;
  int32_t spin_us;
  uint64_t schema; /* must be 0 */
  int64_t initial; /* of a new one */
} millrace_counter_options;

/* Its calls may be made by several threads at once. */
int32_t millrace_counter_open(const char* place, const millrace_counter_options* options,
                              millrace_counter** counter);
int32_t millrace_counter_get(millrace_counter* counter, int64_t* value);
int32_t millrace_counter_set(millrace_counter* counter, int64_t value);
/* `result` may be NULL: the value after that. Past either end it goes on at the other. */
int32_t millrace_counter_add(millrace_counter* counter, int64_t delta, int64_t* result);
/* `before` may be NULL. */
int32_t millrace_counter_exchange(millrace_counter* counter, int64_t value, int64_t* before);
/* If it is `expected`, it becomes `value`. 1: done; 0: it was another, which *before tells (may be NULL). */
int32_t millrace_counter_compare_exchange(millrace_counter* counter, int64_t expected,
                                          int64_t value, int64_t* before);
int32_t millrace_counter_close(millrace_counter* counter);
void millrace_counter_free(millrace_counter* counter);

/* --- shared memory: plain bytes --- */

typedef struct millrace_memory millrace_memory;

/* Makes `bytes` of zeroes and owns them: close removes the name. EXISTS: it is there, and in use. Flags: memory. */
int32_t millrace_memory_create(const char* place, uint64_t bytes, const millrace_options* options,
                               millrace_memory** memory);
/* Flags: READ_ONLY, HAS_OWNER, memory. */
int32_t millrace_memory_open(const char* place, const millrace_options* options,
                             millrace_memory** memory);
/* Byte 0; NULL once closed. It stays mapped until the free. */
void* millrace_memory_data(millrace_memory* memory);
/* Bytes; 0 once closed. */
uint64_t millrace_memory_size(millrace_memory* memory);
/* Of a file: returns when all is on the disk. */
int32_t millrace_memory_flush(millrace_memory* memory);
/* CORRUPT: somebody has shortened it, and touching what is gone would be a SIGBUS. */
int32_t millrace_memory_check(millrace_memory* memory);
int32_t millrace_memory_close(millrace_memory* memory);
void millrace_memory_free(millrace_memory* memory);

/* --- work queue: jobs that many push and many take --- */

typedef struct millrace_work millrace_work;

enum millrace_durability {
  MILLRACE_DURABILITY_ANY = 0, /* what is there; of a new one `file` in a file, else `memory` */
  MILLRACE_DURABILITY_MEMORY = 1,
  MILLRACE_DURABILITY_FILE = 2,
  MILLRACE_DURABILITY_DISK = 3 /* a push is done when it is on the disk */
};

/* What is 0 is whatever the queue has, or the default of TypeScript's WorkQueue. */
typedef struct millrace_work_options {
  uint64_t size;
  uint32_t mode;
  uint32_t flags; /* KEEP, HAS_OWNER, OPEN_ONLY, memory */
  uint32_t owner;
  int32_t spin_us;
  uint64_t schema; /* must be 0 */
  uint64_t bytes;  /* of all payloads */
  uint32_t jobs;
  uint32_t priorities;
  uint32_t seats;        /* handles that can be open at once */
  uint32_t max_attempts; /* 1 to 255; UINT32_MAX: without end */
  uint32_t dead_jobs;    /* dead letters that are kept; UINT32_MAX: none */
  uint32_t dedup_ids;
  uint64_t dead_bytes;
  uint64_t dedup_window_ms;
  uint64_t lease_timeout_ms;
  uint32_t groups;     /* that may have jobs at a time; UINT32_MAX: none */
  uint32_t durability; /* enum millrace_durability */
} millrace_work_options;

typedef struct millrace_push_options {
  uint64_t size;
  uint32_t priority; /* higher first */
  uint32_t id_length;
  const char*
      id; /* UTF-8, at most 1024 bytes; of several pushes of one id within the window one counts */
  const char* group; /* jobs of a group are done one at a time, in order */
  uint32_t group_length;
  uint32_t traceparent_length;
  const char* traceparent; /* "00-TRACE-SPAN-FLAGS", as W3C writes it */
  uint64_t delay_ns;
  uint64_t ttl_ns; /* 0: for ever; then it is a dead letter */
} millrace_push_options;

/* A job in hand. What it points to lies in shared memory, is read only, and good until the job is settled. Texts do not end with a NUL. */
typedef struct millrace_job {
  const void* data;
  uint64_t length;
  const char* id; /* NULL: none */
  const char* group;
  uint32_t id_length;
  uint32_t group_length;
  uint32_t priority;
  uint32_t attempt;     /* 1 the first time */
  uint64_t acquired;    /* how often somebody had it in hand */
  uint64_t token;       /* grows with each lease: for fencing */
  uint64_t pushed_at;   /* nanoseconds since 1970 */
  char traceparent[56]; /* ends with a NUL; "": none */
  uint64_t lease;       /* the library's */
  uint32_t slot;
  uint32_t reserved;
} millrace_job;

/* Memory for the payload of a job that is to be pushed. */
typedef struct millrace_work_loan {
  void* data;
  uint64_t
      capacity; /* bytes, those of id and group (each rounded up to 8 with the payload) included */
  uint64_t lease[5]; /* the library's */
} millrace_work_loan;

/* GEOMETRY: there is one with other properties. A pipeline is none. */
int32_t millrace_work_open(const char* place, const millrace_work_options* options,
                           millrace_work** work);
/* 0, or MILLRACE_DUPLICATE. TOO_LARGE: never fits. `options` may be NULL. With durability `disk` it returns when it is on the disk;
 * millrace_work_try_push() and millrace_work_push_loan() do not wait for that, which millrace_work_flush() does. */
int32_t millrace_work_push(millrace_work* work, const void* payload, uint64_t length,
                           const millrace_push_options* options, int64_t timeout_ns);
int32_t millrace_work_try_push(millrace_work* work, const void* payload, uint64_t length,
                               const millrace_push_options* options);
/* In place: reserve, write, push the loan or cancel it. */
int32_t millrace_work_reserve(millrace_work* work, uint64_t length, int64_t timeout_ns,
                              millrace_work_loan* loan);
int32_t millrace_work_push_loan(millrace_work* work, millrace_work_loan* loan, uint64_t length,
                                const millrace_push_options* options);
int32_t millrace_work_cancel(millrace_work* work, millrace_work_loan* loan);
/* Takes a job. It goes to somebody else if this process dies; or if the queue has a lease_timeout_ms, and it is neither settled nor extended
 * by then. */
int32_t millrace_work_take(millrace_work* work, int64_t timeout_ns, millrace_job* job);
int32_t millrace_work_try_take(millrace_work* work, millrace_job* job);
/* All of these: LEASE_LOST if the job is somebody else's by now, RELEASED if it was settled through this struct. */
int32_t millrace_work_complete(millrace_work* work, millrace_job* job);
/* Gives it back; the attempt does not count. */
int32_t millrace_work_release(millrace_work* work, millrace_job* job, uint64_t delay_ns);
/* It failed and is to be tried again, unless that was its last attempt: then it is a dead letter. `error` may be NULL; of UTF-8 the first bytes
 * are kept. */
int32_t millrace_work_retry(millrace_work* work, millrace_job* job, uint64_t delay_ns,
                            const char* error);
/* It is a dead letter at once. */
int32_t millrace_work_reject(millrace_work* work, millrace_job* job, const char* error);
/* The lease holds for so long from now on. */
int32_t millrace_work_extend(millrace_work* work, const millrace_job* job, uint64_t ns);
/* 1: it is ours; 0: not any more. */
int32_t millrace_work_holds(millrace_work* work, const millrace_job* job);
/* Done here, and `payload` is a job of `to`: both or neither, whoever dies. 0, or DUPLICATE: it was there, and is done here. WOULD_BLOCK: no room
 * there. `to` is a handle of this thread, and may be `work`. Without a group. */
int32_t millrace_work_forward(millrace_work* work, millrace_job* job, millrace_work* to,
                              const void* payload, uint64_t length,
                              const millrace_push_options* options);

enum millrace_dead_reason {
  MILLRACE_DEAD_NONE = 0,
  MILLRACE_DEAD_REJECTED = 1,
  MILLRACE_DEAD_ATTEMPTS = 2, /* as many as there may be have failed */
  MILLRACE_DEAD_DIED = 3,     /* the same, and the last one by the death of its worker */
  MILLRACE_DEAD_EXPIRED = 4   /* its time to live was over */
};

/* A dead letter: copies that belong to the list. */
typedef struct millrace_dead_letter {
  const void* data;
  uint64_t length;
  const char* id; /* these end with a NUL */
  const char* group;
  const char* error;
  uint64_t pushed_at; /* nanoseconds since 1970 */
  uint64_t died_at;
  uint64_t acquired;
  uint32_t attempts;
  uint32_t priority;
  int32_t reason; /* enum millrace_dead_reason */
  uint32_t slot;
  uint64_t lease;
} millrace_dead_letter;

typedef struct millrace_dead_letters millrace_dead_letters;

/* The oldest `limit` of them; 0: all. BUSY: another process has them in hand. */
int32_t millrace_work_dead_letters(millrace_work* work, uint64_t limit,
                                   millrace_dead_letters** letters);
uint64_t millrace_dead_letters_count(const millrace_dead_letters* letters);
/* NULL beyond the last one. */
const millrace_dead_letter* millrace_dead_letters_at(const millrace_dead_letters* letters,
                                                     uint64_t index);
void millrace_dead_letters_free(millrace_dead_letters* letters);
/* Sends it round again, with all its attempts; or away. 1: done; 0: it is none any more. */
int32_t millrace_work_redrive(millrace_work* work, const millrace_dead_letter* letter);
int32_t millrace_work_purge(millrace_work* work, const millrace_dead_letter* letter);

typedef struct millrace_work_counts {
  uint64_t size;
  uint64_t ready;
  uint64_t leased;
  uint64_t delayed;
  uint64_t grouped; /* behind another one of their group */
  uint64_t dead;
  uint64_t handles;
  uint64_t pushed; /* from here on: since the queue was made */
  uint64_t taken;
  uint64_t completed;
  uint64_t returned;
  uint64_t rejected;
  uint64_t deaths;
  uint64_t dead_lettered;
  uint64_t duplicates;
} millrace_work_counts;

int32_t millrace_work_counts_of(millrace_work* work, millrace_work_counts* counts);
/* Returns when all that this handle has done is on the disk; of a queue in memory at once. */
int32_t millrace_work_flush(millrace_work* work);
/* The longest payload. */
int64_t millrace_work_max_bytes(millrace_work* work);

/* What X_arm() of work queues and topics waits for, a bit each. */
enum millrace_wait { MILLRACE_FOR_MESSAGES = 1, MILLRACE_FOR_ROOM = 2 };

int32_t millrace_work_fd(millrace_work* work);
/* `what` of enum millrace_wait: jobs, room. */
int32_t millrace_work_arm(millrace_work* work, uint32_t what);
int32_t millrace_work_disarm(millrace_work* work);
/* What it has in hand goes back, and counts as an attempt. */
int32_t millrace_work_close(millrace_work* work);
void millrace_work_free(millrace_work* work);

/* --- topics: messages under subjects, for all who want them --- */

typedef struct millrace_topics millrace_topics;

/* What is 0 is whatever the topics have, or the default of TypeScript's Topics. */
typedef struct millrace_topics_options {
  uint64_t size;
  uint32_t mode;
  uint32_t flags; /* KEEP, HAS_OWNER, OPEN_ONLY, memory */
  uint32_t owner;
  int32_t spin_us;
  uint64_t schema; /* must be 0 */
  uint64_t bytes;  /* of all messages */
  uint32_t messages;
  uint32_t subjects;
  uint32_t subscriptions;
  uint32_t seats;
} millrace_topics_options;

/* A short text that goes with a message. UTF-8 without a NUL at the end; names have 1 to 255 bytes, all together 1024 at most, 3 more
 * for each. */
typedef struct millrace_header {
  const char* name;
  const char* value;
  uint32_t name_length;
  uint32_t value_length;
} millrace_header;

enum millrace_topic_policy {
  MILLRACE_TOPIC_WAIT = 0,     /* who publishes waits for this subscription */
  MILLRACE_TOPIC_OVERWRITE = 1 /* it misses the oldest, and is told how many */
};

typedef struct millrace_subscribe_options {
  uint64_t size;
  uint32_t policy;      /* enum millrace_topic_policy */
  uint32_t depth;       /* messages that it may lag behind; 0: as many as there are */
  uint32_t replay;      /* so many of the newest messages that are there already */
  uint32_t replay_last; /* not 0: the last message of each subject first */
} millrace_subscribe_options;

/* A message as it was read: the bytes are in the buffer that was given, or in shared memory (`pin` is not UINT32_MAX), where they stay
 * until millrace_topics_release(). */
typedef struct millrace_message {
  const void* data;
  uint64_t length;
  const void* headers; /* for millrace_headers_next() */
  uint64_t headers_length;
  uint64_t index;        /* in the one order of all messages */
  uint64_t published_at; /* nanoseconds since 1970 */
  uint64_t missed;       /* messages of this subscription that it missed just before this one */
  uint32_t subject;      /* for millrace_topics_subject_text() */
  uint32_t pin;
} millrace_message;

int32_t millrace_topics_open(const char* place, const millrace_topics_options* options,
                             millrace_topics** topics);
/* The number of a subject, for as long as there are these topics; it is made if it is not known. Publishing by number is faster. NO_LANE: as
 * many as there may be. INVALID_ARGUMENT: no subject. */
int32_t millrace_topics_subject(millrace_topics* topics, const char* subject, uint32_t* number);
/* Copies the text of a number to `buffer`, with a NUL. Returns its length; TOO_LARGE if it does not fit; NOT_FOUND. */
int32_t millrace_topics_subject_text(millrace_topics* topics, uint32_t number, char* buffer,
                                     uint64_t size);
/* Returns the number of subscriptions that it is for. `headers` may be NULL with a count of 0. */
int32_t millrace_topics_publish(millrace_topics* topics, uint32_t subject, const void* payload,
                                uint64_t length, const millrace_header* headers,
                                uint64_t header_count, int64_t timeout_ns);
int32_t millrace_topics_try_publish(millrace_topics* topics, uint32_t subject, const void* payload,
                                    uint64_t length, const millrace_header* headers,
                                    uint64_t header_count);
/* Subscribes to all subjects that match one of the filters ("a.*.c", "a.>"). */
int32_t millrace_topics_subscribe(millrace_topics* topics, const char* const* filters,
                                  uint64_t filter_count, const millrace_subscribe_options* options,
                                  uint32_t* subscription);
int32_t millrace_topics_unsubscribe(millrace_topics* topics, uint32_t subscription);
/* Up to `most` messages that are there; waits for the first. Returns how many. Those up to 512 bytes are copied to `buffer`, as long as
 * they fit; longer ones stay where they are, as long as there is room to note that (16 of a handle), and are copied otherwise. TOO_LARGE: the
 * next one has neither; *needed (may be NULL) tells the bytes for it. */
int32_t millrace_topics_read(millrace_topics* topics, uint32_t subscription, void* buffer,
                             uint64_t size, millrace_message* messages, uint32_t most,
                             int64_t timeout_ns, uint64_t* needed);
int32_t millrace_topics_try_read(millrace_topics* topics, uint32_t subscription, void* buffer,
                                 uint64_t size, millrace_message* messages, uint32_t most,
                                 uint64_t* needed);
/* Gives the memory of a message back; of one that was copied there is nothing to be done. */
int32_t millrace_topics_release(millrace_topics* topics, const millrace_message* message);
/* What that subscription has missed so far. */
int64_t millrace_topics_missed(millrace_topics* topics, uint32_t subscription);
/* The next header, from *at on, which is 0 at first. 1: there is one; 0: there is no more; CORRUPT: these are none. Needs no handle. A trace
 * context is the header "traceparent", whose value lies in `trace`, of 56 bytes (may be NULL: it is passed over). */
int32_t millrace_headers_next(const void* headers, uint64_t length, uint64_t* at, char* trace,
                              millrace_header* header);

typedef struct millrace_topics_counts {
  uint64_t size;
  uint64_t messages; /* that are there */
  uint64_t subjects;
  uint64_t subscriptions;
  uint64_t handles;
  uint64_t published; /* from here on: since they were made */
  uint64_t matched;
  uint64_t evicted;
  uint64_t waits;
  uint64_t deaths;
} millrace_topics_counts;

int32_t millrace_topics_counts_of(millrace_topics* topics, millrace_topics_counts* counts);
int32_t millrace_topics_fd(millrace_topics* topics);
/* `what` of enum millrace_wait: messages of any subscription of this handle, room. */
int32_t millrace_topics_arm(millrace_topics* topics, uint32_t what);
int32_t millrace_topics_disarm(millrace_topics* topics);
int32_t millrace_topics_close(millrace_topics* topics);
void millrace_topics_free(millrace_topics* topics);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
