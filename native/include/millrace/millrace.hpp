// The whole core.
#pragma once

#include "frame_reader.hpp"
#include "frame_writer.hpp"
#include "queue.hpp"
#include "shared_memory.hpp"
#include "sync/parties.hpp"
