// Makes pictures small, until it is ended. Any number of these may run, and any may be killed at any time: what it had in hand is
// taken by another.
import { WorkQueue } from 'millrace/work'
import sharp from 'sharp'

// First of all: who is ended before would leave its queues as a dead one does.
process.once('SIGTERM', () => {
  jobs.close() // what is in hand is finished first
})
const jobs = WorkQueue.open('thumbnails', { jobs: 256, bytes: 32 * 2 ** 20 })
const done = WorkQueue.open('thumbnails.done', { jobs: 256, bytes: 8 * 2 ** 20 })

await jobs.work(
  async (job) => {
    const small = await thumbnailOf(job.bytes)
    // Both or neither: the picture is published exactly if the job is done.
    await job.complete({ to: done, bytes: small, id: job.id })
  },
  { concurrency: 2, drainOnClose: 5000 },
)
done.close()

/** A PNG of at most 128 × 128; nothing if that is no picture. */
async function thumbnailOf(bytes: Uint8Array): Promise<Uint8Array> {
  try {
    return await sharp(bytes).resize(128, 128, { fit: 'inside' }).png().toBuffer()
  } catch {
    return new Uint8Array()
  }
}
