// The whole core.
#pragma once

#include "frame_reader.hpp"
#include "frame_writer.hpp"
#include "frames_sync.hpp"
#include "queue.hpp"
#include "queue_sync.hpp"
#include "shared_memory.hpp"
#include "sync/parties.hpp"
