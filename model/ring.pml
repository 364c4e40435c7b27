/*
 * The message ring: is what was published delivered whole, in order and once, whoever is killed?
 *
 * Mirrors, statement by statement,
 *   native/include/millrace/spsc_ring.hpp  RingProducer: constructor, has_room, refresh, push, reserve, commit,
 *                                          publish; RingConsumer: constructor, has_data, refresh, peek, release,
 *                                          release_bytes, available
 *   lib/queue/producer.ts                  tryPushBatch (records laid down, then one publish)
 *   lib/queue/consumer.ts                  drain (records walked, then one release)
 *
 * Memory. A position is a list of all values it ever had, each with what its writer knew when it stored it with
 * release. A load takes any value that is not older than the one this side took last; only an acquire load takes
 * over what comes with it. What a side knows is how far the other one had come: its clock counts the units
 * written, or read. Data are ordinary memory: who reads a unit must know of the write of it, who writes one must
 * know of the last read of it; otherwise it is a data race ("race"), whatever would be found there. That is the
 * happens-before of C++ with vector clocks (Flanagan and Freund, "FastTrack", 2009).
 *
 * Death. Either side is killed at any statement, and a successor, which a lock of the kernel orders behind it,
 * begins with nothing but the shared positions. It knows no less of their values than its predecessor did.
 *
 * Units are 8 bytes; a record is a header of one unit and a payload of 0 to 2. Positions begin just before they
 * go round (256 here, 2^64 there). A unit's content is the number of the message it belongs to.
 *
 * Bounds: a ring of CAPACITY units, MESSAGES messages, PRODUCER_DEATHS and CONSUMER_DEATHS; single, reserved (and
 * shortened), and batched sends; single and batched receives.
 *
 * run nobody-dies    -DMESSAGES=4
 * run producer-dies  -DMESSAGES=3 -DPRODUCER_DEATHS=1
 * run consumer-dies  -DMESSAGES=3 -DCONSUMER_DEATHS=1
 * deep nobody-dies   -DMESSAGES=6
 * deep both-die      -DMESSAGES=3 -DPRODUCER_DEATHS=1 -DCONSUMER_DEATHS=1
 * deep twice         -DMESSAGES=3 -DPRODUCER_DEATHS=2
 * broken RELAXED_PUBLISH      race  | write_position is stored relaxed
 * broken NO_ACQUIRE_CONSUMER  race  | the consumer loads write_position relaxed
 * broken RELAXED_RELEASE      race  | read_position is stored relaxed
 * broken NO_ACQUIRE_PRODUCER  race  | the producer loads read_position relaxed
 * broken PUBLISH_FIRST        stale | the position is published before the record is written
 * broken PUBLISH_HEADER_FIRST torn  | a record is published when its header is there
 * broken RELEASE_FIRST        race  | the consumer gives the memory back before it has read it
 * broken OFF_BY_ONE           race  | a ring with one unit too few is thought to have room
 * broken READ_CACHE_UNASKED   race  | a new producer believes the ring empty: read_cache_ stays at write_ | -DPRODUCER_DEATHS=1
 * broken BATCH_PUBLISHED_LATE stale | the successor continues where its predecessor wrote, not where it published | -DPRODUCER_DEATHS=1
 * broken SUCCESSOR_SKIPS      lost  | a new consumer begins at the write position | -DCONSUMER_DEATHS=1
 * broken RELEASE_TOO_MUCH     lost  | a batch is released as far as the producer has come, not as far as it was read | -DMESSAGES=4
 * broken RESERVED_PUBLISHED   stale | commit publishes what was reserved, and not what was written
 */

#ifndef MESSAGES
#define MESSAGES 3
#endif
#ifndef PRODUCER_DEATHS
#define PRODUCER_DEATHS 0
#endif
#ifndef CONSUMER_DEATHS
#define CONSUMER_DEATHS 0
#endif
#define CAPACITY 4
#define FIRST 252               /* positions go round during the run; a multiple of CAPACITY */
#define STORES (MESSAGES + 1)

/* Why a run is wrong: the name is in the checker's message. */
bool race, torn, lost, corrupt, stale;
#define ensure(condition, otherwise) assert((condition) || otherwise)

#define distance(from, to) (((to) - (from)) & 255)
#define place(position) ((position) % CAPACITY)

/* Data: header (the length, 0 to 2) and payload share the units. */
byte length_at[CAPACITY];       /* of a header; 255 in a payload unit */
byte message_at[CAPACITY];
byte written_when[CAPACITY];    /* the producer's clock */
byte read_when[CAPACITY];       /* the consumer's clock */
byte producer_clock, consumer_clock;

/* write_position and read_position: every value, and what came with it. */
byte write_values[STORES], write_clock[STORES], write_last;
byte read_values[STORES], read_clock[STORES], read_last;

/* What each side took last, and so will not be told of anything older. Outlives it: see Death. */
byte taken_write, taken_read;

/* For the properties alone. */
byte begun, sent, received;     /* messages laid down and published, and given back */
byte length_of[MESSAGES + 1];
byte deaths_of_producer, deaths_of_consumer;
bool kill_producer, kill_consumer, producer_done, consumer_done;

inline write_unit(position, length, message) {
  d_step {
    ensure(read_when[place(position)] <= known_reads, race);
    producer_clock++;
    written_when[place(position)] = producer_clock;
    length_at[place(position)] = length;
    message_at[place(position)] = message
  }
}

inline read_unit(position) {
  d_step {
    ensure(written_when[place(position)] <= known_writes, race);
    consumer_clock++;
    read_when[place(position)] = consumer_clock
  }
}

/* line.write_position.store(write_, release) */
inline store_write(position, messages) {
  d_step {
    write_last++;
    write_values[write_last] = position;
#ifndef RELAXED_PUBLISH
    write_clock[write_last] = producer_clock;
#endif
    sent = sent + messages
  }
}

inline store_read(position, messages) {
  d_step {
    read_last++;
    read_values[read_last] = position;
#ifndef RELAXED_RELEASE
    read_clock[read_last] = consumer_clock;
#endif
    received = received + messages
  }
}

/* RingProducer::refresh. Sets `room_cached` as read_cache_. */
inline producer_refresh(oldest) {
  atomic {
    do
    :: taken_read < read_last -> taken_read++
    :: break
    od;
#ifndef NO_ACQUIRE_PRODUCER
    known_reads = (read_clock[taken_read] > known_reads -> read_clock[taken_read] : known_reads);
#endif
    ensure(distance(oldest, read_values[taken_read]) <= distance(oldest, write), corrupt);
    read_cache = read_values[taken_read]
  }
}

/* RingProducer::has_room */
#ifdef OFF_BY_ONE
#define fits(units) (CAPACITY + 1 - distance(read_cache, write) >= (units))
#else
#define fits(units) (CAPACITY - distance(read_cache, write) >= (units))
#endif
inline has_room(units) {
  if
  :: fits(units)
  :: else -> producer_refresh(read_cache)
  fi
}

inline lay_down(position, message) {
  atomic {
    begun = message;
    if
    :: length_of[message] == 255 -> select(length : 0 .. 2); length_of[message] = length
    :: else -> length = length_of[message]   /* a successor sends it once more */
    fi
  }
  write_unit(position, length, message);
#ifdef PUBLISH_HEADER_FIRST
  store_write((write + length + 1) & 255, 1);
#endif
  i = 0;
  do
  :: i < length -> i++; write_unit(position + i, 255, message)
  :: else -> break
  od;
  i = 0
}

proctype Producer() {
  byte write, read_cache, known_reads, length, i, units;
  {
    /* RingProducer::RingProducer */
    d_step { write = write_values[write_last]; read_cache = write }
#ifndef READ_CACHE_UNASKED
    producer_refresh((write + 256 - CAPACITY) & 255);
#endif
#ifdef BATCH_PUBLISHED_LATE
    if
    :: begun > sent -> write = (write + 1 + length_of[begun]) & 255; begun = begun + 1
    :: else
    fi;
#endif
    do
    :: sent == MESSAGES -> break
    :: sent < MESSAGES ->
       /* push, or reserve and commit: reserved for the longest, used as far as it is needed. */
       has_room(3);
       if
       :: fits(3) ->
#ifdef PUBLISH_FIRST
          store_write((write + 3) & 255, 1);
#endif
          lay_down(write, sent + 1);
#if !defined(PUBLISH_FIRST) && !defined(PUBLISH_HEADER_FIRST)
#ifdef RESERVED_PUBLISHED
          write = (write + 3) & 255;
#else
          write = (write + length + 1) & 255;
#endif
          store_write(write, 1)
#else
          write = write_values[write_last]
#endif
       :: else
       fi
    :: sent + 1 < MESSAGES ->
       /* tryPushBatch: two records of what the second one needs at most, one publish. */
       has_room(4);
       if
       :: fits(4) ->
          lay_down(write, sent + 1);
          if
          :: length + 2 <= 4 ->
             units = length + 1;
             atomic {
               if
               :: length_of[sent + 2] == 255 -> length_of[sent + 2] = 0
               :: else
               fi
             }
             if
             :: units + 1 + length_of[sent + 2] <= 4 ->
                lay_down(write + units, sent + 2);
                units = units + length + 1;
                write = (write + units) & 255;
                store_write(write, 2)
             :: else ->
                write = (write + units) & 255;
                store_write(write, 1)
             fi
          fi;
          units = 0
       :: else
       fi
    od;
    producer_done = true
  } unless {
    kill_producer ->
    atomic { kill_producer = false; write = 0; read_cache = 0; known_reads = 0; length = 0; i = 0; units = 0;
             run Producer() }
  }
}

/* RingConsumer::refresh */
inline consumer_refresh() {
  atomic {
    do
    :: taken_write < write_last -> taken_write++
    :: break
    od;
#ifndef NO_ACQUIRE_CONSUMER
    known_writes = (write_clock[taken_write] > known_writes -> write_clock[taken_write] : known_writes);
#endif
    ensure(distance(write_cache, write_values[taken_write]) <= CAPACITY - distance(read, write_cache), corrupt);
    write_cache = write_values[taken_write]
  }
}

/* The message at `at`, which is to be number `expected`: header, judged, then the payload. */
inline read_message(at, expected) {
  read_unit(at);
  d_step {
    length = length_at[place(at)];
    ensure(length != 255 && message_at[place(at)] <= MESSAGES, torn);
    ensure(message_at[place(at)] >= expected, stale);
    ensure(message_at[place(at)] <= expected, lost);
    ensure(length + 1 <= distance(at, write_cache), corrupt);
    ensure(length == length_of[expected], torn)
  }
  i = 0;
  do
  :: i < length ->
     i++;
     read_unit(at + i);
     ensure(message_at[place(at + i)] == expected && length_at[place(at + i)] == 255, torn)
  :: else -> break
  od;
  i = 0
}

proctype Consumer() {
  byte read, write_cache, known_writes, length, i, at, count;
  {
    /* RingConsumer::RingConsumer */
    d_step { read = read_values[read_last]; write_cache = read }
#ifdef SUCCESSOR_SKIPS
    consumer_refresh();
    read = write_cache;
#endif
    do
    :: received >= MESSAGES -> break
    :: received < MESSAGES ->
       /* peek: asks only if nothing is known to be there; then release. */
       if
       :: write_cache != read
       :: else -> consumer_refresh()
       fi;
       if
       :: write_cache != read ->
#ifdef RELEASE_FIRST
          d_step { length = length_at[place(read)]; at = read; read = (read + length + 1) & 255 }
          store_read(read, 1);
          read_message(at, received);
          at = 0
#else
          read_message(read, received + 1);
          read = (read + length + 1) & 255;
          store_read(read, 1)
#endif
       :: else
       fi
    :: received < MESSAGES ->
       /* drain: asks, walks all that is there, gives it back at once. */
       consumer_refresh();
       at = read;
       do
       :: at != write_cache ->
          read_message(at, received + count + 1);
          at = (at + length + 1) & 255;
          count++;
          if
          :: break               /* the callback said stop */
          :: true
          fi
       :: else -> break
       od;
       if
       :: count > 0 ->
#ifdef RELEASE_TOO_MUCH
          at = write_cache;
#endif
          read = at;
          store_read(read, count)
       :: else
       fi;
       d_step { at = 0; count = 0; length = 0 }
    od;
    consumer_done = true
  } unless {
    kill_consumer ->
    atomic { kill_consumer = false; read = 0; write_cache = 0; known_writes = 0; length = 0; i = 0; at = 0; count = 0;
             run Consumer() }
  }
}

proctype Killer() {
end:
  do
  :: atomic { deaths_of_producer < PRODUCER_DEATHS && !producer_done && !kill_producer ->
              deaths_of_producer++; kill_producer = true }
  :: atomic { deaths_of_consumer < CONSUMER_DEATHS && !consumer_done && !kill_consumer ->
              deaths_of_consumer++; kill_consumer = true }
  od
}

init {
  byte n;
  d_step {
    for (n : 1 .. MESSAGES) { length_of[n] = 255 }
    write_values[0] = FIRST;
    read_values[0] = FIRST;
    n = 0
  }
  atomic {
    run Producer();
    run Consumer();
    if
    :: PRODUCER_DEATHS + CONSUMER_DEATHS > 0 -> run Killer()
    :: else
    fi
  }
  (producer_done && consumer_done) -> ensure(received == MESSAGES && sent == MESSAGES, lost)
}
