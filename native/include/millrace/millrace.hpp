// The whole core.
#pragma once

#include "cell.hpp"
#include "frame_reader.hpp"
#include "frame_writer.hpp"
#include "frames_sync.hpp"
#include "hand_over.hpp"
#include "queue.hpp"
#include "queue_sync.hpp"
#include "shared_memory.hpp"
#include "sync/barrier.hpp"
#include "sync/counter.hpp"
#include "sync/event.hpp"
#include "sync/mutex.hpp"
#include "sync/parties.hpp"
#include "sync/permit_taker.hpp"
#include "sync/rw_lock.hpp"
#include "sync/semaphore.hpp"
