// What the ratios are: what each is made of, and what it is to reach. Where several rows are named for one side, the best of
// them counts.

import { spinningCores, suffix } from './pinning.js'
import { pollMs } from './rows/making.js'

export interface RatioDefinition {
  readonly name: string
  readonly means: string
  /** The p50 of `above` over the p50 of `below`, unless `of` says otherwise. For a stream that is the time of a message. */
  readonly above: string | readonly string[]
  readonly below: string | readonly string[]
  readonly of?: (above: number, below: number) => number
  readonly reach?: { readonly atMost: number } | { readonly atLeast: number }
}

const rtt = (what: string) => `rtt event loop: ${what}`
const small = (what: string) => `throughput 64 B: ${what}`
const spun = (name: string) => `${name}${suffix(spinningCores)}`
const frame8m = (what: string) => `frame 8 MiB: ${what}`
const file = (how: string, what: string) => `file of 100 MB, ${how}: ${what}`
const piped = (how: string, what: string) =>
  `pipeline() of 1 GiB in chunks of 64 KiB, ${how}: ${what}`
const polling = `millrace, poll ${String(pollMs)} ms`
const processSend = (name: (what: string) => string) => [
  name('process.send, json'),
  name('process.send, advanced'),
]
const disruptor = 'shared-memory-disruptor'
const sabRing = 'SharedArrayBuffer ring, Workers'
/** In a ring that is larger than what a core has of cache for itself. */
const wideRing = (what: string) => spun(small(`${what}, ring of 4 MiB`))

const required: readonly RatioDefinition[] = [
  {
    name: 'rtt_spin_vs_core',
    means: 'spinning round trip, 64 B, p50, JavaScript ÷ C++',
    above: spun('rtt spinning: millrace'),
    below: spun('rtt spinning: C++ core'),
    reach: { atMost: 1.25 },
  },
  {
    name: 'warm_ms',
    means: 'milliseconds until slices of 50 ms of it stay within 10 % of the steady time',
    above: spun('rtt spinning: millrace, until warm'),
    below: [],
    of: (nanoseconds) => nanoseconds / 1e6,
    reach: { atMost: 100 },
  },
  {
    name: 'rtt_poll_vs_uds',
    means: `event-loop round trip polling up to ${String(pollMs)} ms, p50 ÷ Unix socket`,
    above: rtt(polling),
    below: rtt('Unix socket'),
    reach: { atMost: 0.012 },
  },
  {
    name: 'rtt_wait_vs_uds',
    means: 'event-loop round trip, default options, unpinned, p50 ÷ Unix socket',
    above: rtt('millrace'),
    below: rtt('Unix socket'),
    reach: { atMost: 0.015 },
  },
  {
    name: 'rtt_wait_vs_uds_pinned',
    means: 'the same, all on one core',
    above: rtt('millrace (one core)'),
    below: rtt('Unix socket (one core)'),
    reach: { atMost: 0.7 },
  },
  {
    name: 'rtt_blocking_vs_core_futex',
    means: 'pushSync and popSync in Workers ÷ C++, both asleep on a futex without spinning first',
    above: 'rtt blocking: millrace, asleep',
    below: 'rtt blocking: C++ core, asleep',
    reach: { atMost: 1.2 },
  },
  {
    name: 'tput64_single_vs_core',
    means: '64 B messages a second, tryPush and tryPopInto ÷ C++',
    above: spun(small('C++ core')),
    below: spun(small('millrace, single')),
    reach: { atLeast: 0.55 },
  },
  {
    name: 'tput64_batch_vs_core',
    means: 'the same through tryPushBatch of 64 and reading in place',
    above: spun(small('C++ core')),
    below: spun(small('millrace, batch 64')),
    reach: { atLeast: 0.8 },
  },
  {
    name: 'tput64_packed_vs_core',
    means: 'the same through tryPushPacked and tryPopPacked of 64',
    above: spun(small('C++ core')),
    below: spun(small('millrace, packed 64')),
    reach: { atLeast: 1.2 },
  },
  {
    name: 'tput64_packed_vs_core_wide',
    means: 'the same, ring of 4 MiB',
    above: wideRing('C++ core'),
    below: wideRing('millrace, packed 64'),
    reach: { atLeast: 1 },
  },
  {
    name: 'records64_vs_core_batch',
    means:
      'records of eight doubles, written and read in place, 64 a message, ring of 4 MiB ÷ C++ copying batches of 64',
    above: wideRing('C++ core, batch 64'),
    below: wideRing('millrace, records in place'),
    reach: { atLeast: 0.7 },
  },
  {
    name: 'packed_vs_sab_ring_wide',
    means: 'packed 64, ring of 4 MiB ÷ a SharedArrayBuffer ring of 4 MiB between two Workers',
    above: wideRing(sabRing),
    below: wideRing('millrace, packed 64'),
    reach: { atLeast: 2.5 },
  },
  {
    name: 'pop_buffer',
    means: 'time of a 64 B message taken by tryPop, a Buffer each ÷ by tryPopInto',
    above: spun(small('millrace, single, a Buffer each')),
    below: spun(small('millrace, single')),
    reach: { atMost: 2.5 },
  },
  {
    name: 'tput1k_batch_vs_core',
    means: 'the same with 1 KiB',
    above: spun('throughput 1 KiB: C++ core'),
    below: spun('throughput 1 KiB: millrace, batch 64'),
    reach: { atLeast: 1 },
  },
  {
    name: 'tput64_vs_sab_ring',
    means:
      'single calls across processes ÷ a SharedArrayBuffer ring between two Workers, 256 KiB both',
    above: spun(small(sabRing)),
    below: spun(small('millrace, single')),
    reach: { atLeast: 1.5 },
  },
  {
    name: 'tput64_vs_zeromq',
    means: 'single calls ÷ single sends of zeromq',
    above: small('zeromq ipc'),
    below: spun(small('millrace, single')),
    reach: { atLeast: 35 },
  },
  {
    name: 'tput64_vs_uds',
    means: 'single calls ÷ single writes to a Unix socket',
    above: small('Unix socket, single'),
    below: spun(small('millrace, single')),
    reach: { atLeast: 20 },
  },
  {
    name: 'tput64_vs_process_send',
    means: 'single calls ÷ process.send by its faster serialization',
    above: processSend(small),
    below: spun(small('millrace, single')),
    reach: { atLeast: 30 },
  },
  {
    name: 'tput64_vs_disruptor',
    means: 'single calls ÷ shared-memory-disruptor, spinning',
    above: spun(small(disruptor)),
    below: spun(small('millrace, single')),
    reach: { atLeast: 10 },
  },
  {
    name: 'tput64_batch_vs_uds_batch',
    means: 'batches of 64 Buffers, ring of 4 MiB ÷ Unix socket with 64 Buffers in one writev',
    above: small('Unix socket, writev 64'),
    below: wideRing('millrace, batch 64'),
    reach: { atLeast: 5 },
  },
  {
    name: 'tput64k_vs_memcpy',
    means:
      'bytes a second in 64 KiB messages, in the middle block of 64, ÷ two processes that only copy at the same time',
    above: spun('throughput 64 KiB: memcpy, two processes'),
    below: spun('throughput 64 KiB: millrace, single'),
    reach: { atLeast: 0.8 },
  },
  {
    name: 'frame8m_vs_uds',
    means: '8 MiB hand-over and answer, default options, Unix socket p50 ÷ ours',
    above: frame8m('Unix socket'),
    below: frame8m('millrace'),
    reach: { atLeast: 100 },
  },
  {
    name: 'frame8m_vs_process_send',
    means: 'the same, process.send by its faster serialization ÷ ours',
    above: processSend(frame8m),
    below: frame8m('millrace'),
    reach: { atLeast: 150 },
  },
  {
    name: 'frame8m_poll_vs_uds',
    means:
      'the same, looking in loops of tryReceive and tryPopInto with a turn of the event loop every ms, Unix socket ÷ ours',
    above: frame8m('Unix socket'),
    below: frame8m('millrace, polled in loops'),
    reach: { atLeast: 3000 },
  },
  {
    name: 'frame_fanout',
    means: 'publish cost of a further reader, from 1 to 8, ÷ publish cost with one',
    above: spun('publish: 8 readers'),
    below: spun('publish: 1 reader'),
    of: (eight, one) => (eight - one) / 7 / one,
    reach: { atMost: 0.3 },
  },
  {
    name: 'frame_flat',
    means: 'hand-over p50 of 8 MiB ÷ of 4 KiB, payload not touched',
    above: frame8m('millrace'),
    below: 'frame 4 KiB: millrace',
    reach: { atMost: 1.1 },
  },
  {
    name: 'file_sha_vs_uds',
    means: 'bytes a second of a file with SHA-256 at both ends ÷ over a Unix socket',
    above: file('SHA-256 at both ends', 'Unix socket'),
    below: file('SHA-256 at both ends', 'millrace'),
    reach: { atLeast: 1.2 },
  },
  {
    name: 'file_vs_uds',
    means: 'bytes a second of a file, bytes only ÷ over a Unix socket',
    above: file('four times', 'Unix socket'),
    below: file('four times', 'millrace'),
    reach: { atLeast: 1.3 },
  },
  {
    name: 'stream_vs_uds',
    means:
      'bytes a second of pipeline() in chunks of 64 KiB, through a queue of 4 MiB ÷ through a Unix socket',
    above: piped('a ring of 4 MiB', 'Unix socket'),
    below: piped('a ring of 4 MiB', 'millrace'),
    reach: { atLeast: 1.5 },
  },
  {
    name: 'send_recv_vs_pipe',
    means: 'time of 1 GB through millrace send and millrace recv ÷ through cat | cat',
    above: 'file of 1 GB: millrace send | millrace recv',
    below: 'file of 1 GB: cat | cat',
    reach: { atMost: 1.2 },
  },
  {
    name: 'idle_cpu',
    means: '1,000 idle waiting queues in one process, CPU seconds per second',
    above: 'idle: 1000 queues, waiting',
    below: [],
    of: (nanoseconds) => nanoseconds / 1e9,
    reach: { atMost: 0.002 },
  },
  {
    name: 'scale_queues',
    means: 'message cost with 1,000 queues used in turn ÷ with 1, both sides spinning',
    above: spun('many: 1000 queues in turn'),
    below: spun('many: 1 queue'),
    reach: { atMost: 1.6 },
  },
  {
    name: 'open_close',
    means: 'create, open, close of a queue ÷ the system calls it needs',
    above: 'open and close: millrace',
    below: 'open and close: system calls',
    reach: { atMost: 3 },
  },
  {
    name: 'first_message',
    means: 'start of a process to its first message ÷ start alone',
    above: 'start: Node to first message',
    below: 'start: Node alone',
    reach: { atMost: 1.15 },
  },
]

const job = (what: string) => `jobs of 64 B: ${what}`
const kib = (what: string) => `jobs of 1 KiB: ${what}`
const eight = (what: string) => `${what}: 8 × 8 processes`
const slowest = (what: string) => `${eight(what)}, the slowest worker`
/** Jobs of the slowest worker, as a part of the mean. */
const ofMean = (all: number, ofSlowest: number) => (8 * all) / ofSlowest
const twentyUs = 'jobs of 20 µs'
const empty = 'empty jobs'

const jobs: readonly RatioDefinition[] = [
  {
    name: 'work_pair_vs_core',
    means: 'jobs of 64 B a second, tryPush, tryTake and complete, two processes ÷ C++',
    above: spun(job('C++ core')),
    below: spun(job('millrace')),
    reach: { atLeast: 0.5 },
  },
  {
    name: 'work_many_vs_pair',
    means: 'jobs of 20 µs a second, 8 producers and 8 workers ÷ one of each, all waiting',
    above: `${twentyUs}: 1 × 1 processes`,
    below: eight(twentyUs),
    reach: { atLeast: 0.7 },
  },
  {
    name: 'work_many_fair',
    means: 'jobs of the slowest of these 8 workers ÷ of their mean',
    above: eight(twentyUs),
    below: slowest(twentyUs),
    of: ofMean,
    reach: { atLeast: 0.5 },
  },
  {
    name: 'work_vs_zeromq',
    means: 'jobs of 64 B a second, single calls ÷ single sends of zeromq from PUSH to PULL',
    above: job('zeromq PUSH and PULL'),
    below: spun(job('millrace')),
    reach: { atLeast: 10 },
  },
  {
    name: 'work_vs_boost',
    means: 'jobs of 64 B a second, the C++ core ÷ message_queue of Boost, both sides blocking',
    above: spun(job('boost message_queue')),
    below: spun(job('C++ core, blocking')),
    reach: { atLeast: 1 },
  },
  {
    name: 'work_vs_brokers',
    means:
      'jobs of 1 KiB a second, event loops, awaited one by one ÷ the fastest of BullMQ, RabbitMQ and JetStream with 256 in flight',
    above: [kib('BullMQ on Redis'), kib('RabbitMQ quorum queue'), kib('NATS JetStream')],
    below: kib('millrace, event loop'),
    reach: { atLeast: 50 },
  },
  ...(
    [
      ['gateway_zeromq_vs_engine', 'zeromq'],
      ['gateway_grpc_vs_engine', 'grpc'],
      ['gateway_nats_vs_engine', 'jetstream'],
      ['gateway_amqp_vs_engine', 'rabbitmq'],
      ['gateway_kafka_vs_engine', 'kafka'],
      ['gateway_redis_vs_engine', 'redis'],
    ] as const
  ).map(([name, engine]) => ({
    name,
    means: `${engine === 'grpc' ? 'calls' : 'jobs'} of 1 KiB a second, from shared memory to shared memory through a gateway on each side and ${engine} ÷ its own client, 256 in flight, confirmed alike`,
    above: `across: ${engine}, its own client`,
    below: `across: ${engine}, two gateways`,
    reach: { atLeast: 0.7 },
  })),
  {
    name: 'record_frame_vs_writev',
    means:
      'frames of 8 MiB recorded from shared memory a second ÷ the same bytes by writev out of a buffer',
    above: 'frame 8 MiB into a file: writev',
    below: 'frame 8 MiB into a file: recorded',
    reach: { atLeast: 0.9 },
  },
  {
    name: 'work_disk_group',
    means:
      'jobs of 64 B a second that are on the disk, 256 in flight ÷ one write and fdatasync each',
    above: 'jobs of 64 B to disk: write and fdatasync each',
    below: 'jobs of 64 B to disk: millrace, 256 in flight',
    reach: { atLeast: 20 },
  },
  {
    name: 'pipeline_hop_1mib',
    means: 'a job of 1 MiB from stage to stage, in another process, p50 ÷ one of 64 B',
    above: spun('pipeline: hop 1 MiB'),
    below: spun('pipeline: hop 64 B'),
    reach: { atMost: 1.5 },
  },
  {
    name: 'work_idle_cpu',
    means: '100 idle workers, CPU seconds per second',
    above: 'idle: 100 workers, waiting',
    below: [],
    of: (nanoseconds) => nanoseconds / 1e9,
    reach: { atMost: 0.002 },
  },
]

const topic = (what: string) => `topic 64 B to 4 subscribers: ${what}`
const publish = (what: string) => spun(`topic publish 64 B: ${what}`)
const ourTopics = [topic('millrace'), topic('millrace, batches')]
const ofCalls = (what: string) => `calls of 50 µs: ${what}`

const messaging: readonly RatioDefinition[] = [
  {
    name: 'call_vs_uds',
    means: 'unary call, JSON of 64 B, two event loops, p50 ÷ a raw round trip over a Unix socket',
    above: rtt('call, json'),
    below: rtt('Unix socket'),
    reach: { atMost: 0.15 },
  },
  {
    name: 'call_vs_grpc',
    means: 'the same ÷ a unary call of grpc-js over a Unix socket',
    above: rtt('call, json'),
    below: rtt('grpc-js'),
    reach: { atMost: 0.03 },
  },
  {
    name: 'call_vs_ring',
    means: 'call with the bytes codec, p50 ÷ a round trip over two queues',
    above: rtt('call, bytes'),
    below: rtt('millrace'),
    reach: { atMost: 3 },
  },
  {
    name: 'call_loan',
    means: 'call with an argument of 1 MiB, p50, lent and seen in place ÷ copied at both sides',
    above: rtt('call, 1 MiB, by loan'),
    below: rtt('call, 1 MiB, by copy'),
    reach: { atMost: 0.5 },
  },
  {
    name: 'call_servers',
    means: 'calls a second that each work 50 µs, 4 serving processes ÷ 1',
    above: ofCalls('1 server'),
    below: ofCalls('4 servers'),
    reach: { atLeast: 1.7 },
  },
  {
    name: 'topic_one_vs_frames',
    means: 'publish to one subscriber ÷ a frame to one reader, 64 B',
    above: publish('1 subscriber'),
    below: spun('publish 64 B: 1 reader'),
    reach: { atMost: 2 },
  },
  {
    name: 'topic_uninterested',
    means: 'publish with 8 subscribers of other subjects ÷ with none',
    above: publish('8 subscribers of others'),
    below: publish('no subscriber'),
    reach: { atMost: 1.25 },
  },
  {
    name: 'topic_vs_zeromq',
    means:
      'messages a second to 4 subscribers, published and taken in batches of 256 ÷ through zeromq PUB and SUB over ipc',
    above: topic('zeromq PUB and SUB'),
    below: ourTopics,
    reach: { atLeast: 10 },
  },
  {
    name: 'topic_vs_nats',
    means: 'the same ÷ through NATS on the loopback',
    above: topic('NATS'),
    below: ourTopics,
    reach: { atLeast: 10 },
  },
  {
    name: 'topic_many_subjects',
    means:
      'publish on 10,000 subjects to 100 subscribers with filters of their own ÷ on one to one',
    above: publish('100 subscribers of 10,000 subjects'),
    below: publish('1 subscriber'),
    reach: { atMost: 1.3 },
  },
]

const byAddress: readonly RatioDefinition[] = [
  {
    name: 'net_shm_vs_queue',
    means: 'round trip over a channel by shm://, 64 B, p50 ÷ over two queues',
    above: rtt('channel, shm://'),
    below: rtt('millrace'),
    reach: { atMost: 1.3 },
  },
  {
    name: 'net_unix_vs_raw',
    means: 'round trip over a channel by unix://, 64 B, p50 ÷ over a Unix socket framed by hand',
    above: rtt('channel, unix://'),
    below: rtt('Unix socket, framed by hand'),
    reach: { atMost: 1.1 },
  },
  {
    name: 'net_unix_tput_vs_raw',
    means:
      'messages of 64 B a second over a channel by unix:// ÷ over a Unix socket framed by hand',
    above: small('Unix socket, framed by hand'),
    below: small('channel, unix://'),
    reach: { atLeast: 0.95 },
  },
  {
    name: 'net_tcp_vs_zeromq',
    means:
      'messages of 64 B a second over a channel by tcp:// ÷ through zeromq PUSH and PULL over TCP',
    above: small('zeromq PUSH and PULL, TCP'),
    below: small('channel, tcp://'),
    reach: { atLeast: 1.5 },
  },
  {
    name: 'call_tcp_vs_grpc',
    means: 'unary call by tcp://, JSON of 64 B, p50 ÷ a unary call of grpc-js over TCP',
    above: rtt('call, json, tcp://'),
    below: rtt('grpc-js, TCP'),
    reach: { atMost: 0.5 },
  },
]

const withPython: readonly RatioDefinition[] = [
  {
    name: 'python_wait_vs_uds',
    means: 'round trip of 64 B between Node and asyncio, p50 ÷ over a Unix socket between the two',
    above: 'Python and Node, rtt: millrace',
    below: 'Python and Node, rtt: Unix socket',
    reach: { atMost: 0.2 },
  },
  {
    name: 'python_frame8m_vs_pipe',
    means:
      'a frame of 8 MiB between two Pythons, handed over and answered, p50 ÷ copied to a multiprocessing.shared_memory, with a pipe',
    above: 'Python, frame 8 MiB: millrace',
    below: 'Python, frame 8 MiB: shared_memory, copied to, and a pipe',
    reach: { atMost: 0.01 },
  },
  ...(['python_wait_vs_uds', 'python_frame8m_vs_pipe'] as const).map((name): RatioDefinition => {
    const [above, below] =
      name === 'python_wait_vs_uds'
        ? ['Python and Node, rtt: millrace', 'Python and Node, rtt: Unix socket']
        : [
            'Python, frame 8 MiB: millrace',
            'Python, frame 8 MiB: shared_memory, copied to, and a pipe',
          ]
    return {
      name: `${name}_two_cores`,
      means: 'the same, each side on a core of its own',
      above: `${above} (two cores)`,
      below: `${below} (two cores)`,
    }
  }),
  ...(['lent and published', 'received and released'] as const).map((what): RatioDefinition => ({
    name: what.startsWith('lent') ? 'python_frame8m_write_us' : 'python_frame8m_read_us',
    means: `microseconds of Python for a frame of 8 MiB that is ${what}`,
    above: `Python alone, frame 8 MiB: ${what}`,
    below: [],
    of: (nanoseconds) => nanoseconds / 1000,
    reach: { atMost: 5 },
  })),
  {
    name: 'python_frames_per_second',
    means: 'small frames a second that `for frame in reader` takes, while Node publishes',
    above: 'Python, for frame in reader, 64 B',
    below: [],
    of: (nanoseconds) => 1e9 / nanoseconds,
    reach: { atLeast: 100_000 },
  },
]

/** Beside what a C program would use, and further topologies. */
const further: readonly RatioDefinition[] = [
  plain(
    'tput64_batch_vs_uds_block',
    small('Unix socket, block 64'),
    spun(small('millrace, batch 64')),
  ),
  plain(
    'pop_buffer_1k',
    spun('throughput 1 KiB: millrace, single, a Buffer each'),
    spun('throughput 1 KiB: millrace, single'),
  ),
  plain('tput64_single_vs_core_wide', wideRing('C++ core'), wideRing('millrace, single'), {
    atLeast: 0.4,
  }),
  plain('tput64_vs_sab_ring_wide', wideRing(sabRing), wideRing('millrace, single'), {
    atLeast: 1.1,
  }),
  plain('tput64_batch_vs_core_wide', wideRing('C++ core'), wideRing('millrace, batch 64')),
  plain(
    'scale_queues_waiting',
    'many: 1000 queues in turn, event loop',
    'many: 1 queue, event loop',
    { atMost: 3 },
  ),
  plain(
    'stream_usual_ring_vs_uds',
    piped('the usual ring', 'Unix socket'),
    piped('the usual ring', 'millrace'),
  ),
  plain('work_waiting_vs_zeromq', job('zeromq PUSH and PULL'), job('millrace, event loop')),
  plain(
    'work_vs_boost_one_core',
    job('boost message_queue (one core)'),
    job('C++ core, blocking (one core)'),
  ),
  plain('work_many_vs_pair_empty', `${empty}: 1 × 1 processes`, eight(empty)),
  {
    name: 'work_many_fair_empty',
    means: 'empty jobs of the slowest of 8 workers ÷ of their mean',
    above: eight(empty),
    below: slowest(empty),
    of: ofMean,
  },
  plain('frame8m_poll_awaited_vs_uds', frame8m('Unix socket'), frame8m(polling)),
  plain(
    'cell_write64_vs_seqlock',
    'cell write 64 B: millrace, no timestamps',
    'cell write 64 B: C seqlock',
    { atMost: 4 },
  ),
  plain('cell_read64_vs_seqlock', 'cell read 64 B: millrace', 'cell read 64 B: C seqlock', {
    atMost: 7,
  }),
  plain('capi_vs_core', 'message in turn: C interface', 'message in turn: C++ core', {
    atMost: 1.3,
  }),
  plain('counter_vs_c', 'counter: millrace', 'counter: C', { atMost: 5 }),
  plain('event_vs_c', 'event: millrace', 'event: C condition'),
  plain('barrier_vs_c', 'barrier: millrace', 'barrier: C'),
  plain('mutex_alone_core_vs_c', 'mutex, alone: C++ core', 'mutex, alone: C'),
  plain('mutex_alone_vs_c', 'mutex, alone: millrace', 'mutex, alone: C'),
  plain('mutex_contended_core_vs_c', 'mutex, contended: C++ core', 'mutex, contended: C'),
  plain('mutex_contended_vs_c', 'mutex, contended: millrace', 'mutex, contended: C'),
  plain('semaphore_pair_vs_c', 'semaphore pair: millrace', 'semaphore pair: C'),
  plain('semaphore_blocking_vs_c', 'semaphore: millrace, blocking', 'semaphore: C, asleep'),
  plain('semaphore_wait_vs_c', 'semaphore: millrace', 'semaphore: C, asleep'),
]

function plain(
  name: string,
  above: string,
  below: string,
  reach?: RatioDefinition['reach'],
): RatioDefinition {
  const means = `${above} ÷ ${below}`
  return { name, above, below, means, ...(reach === undefined ? {} : { reach }) }
}

const observing: readonly RatioDefinition[] = [
  {
    name: 'export_1000',
    means: 'milliseconds of the processor for a page of metrics of 1,000 queues',
    above: 'export: a page of 1000 queues',
    below: [],
    of: (nanoseconds) => nanoseconds / 1e6,
    reach: { atMost: 20 },
  },
  {
    name: 'top_1000',
    means: 'millrace top on a terminal, with 1,000 queues, CPU seconds per second',
    above: 'top: 1000 queues, on a terminal',
    below: [],
    of: (nanoseconds) => nanoseconds / 1e9,
    reach: { atMost: 0.05 },
  },
  {
    name: 'dashboard_beside_frames',
    means:
      'p99 of who writes 60 frames of 8 MiB a second, beside an open page of the dashboard ÷ without',
    above: 'frame 8 MiB at 60 Hz, p99: beside an open page',
    below: 'frame 8 MiB at 60 Hz, p99: no page is open',
    reach: { atMost: 1.05 },
  },
]

export const ratios: readonly RatioDefinition[] = [
  ...required,
  ...jobs,
  ...messaging,
  ...byAddress,
  ...withPython,
  ...observing,
  ...further,
]
