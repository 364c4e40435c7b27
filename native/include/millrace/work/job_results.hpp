// A job becomes its result, in its slot, on the way to the next stage.
#pragma once

#include "job_stages.hpp"

namespace millrace {

class JobResults : public JobStages {
 public:
  using JobStages::JobStages;
};

}  // namespace millrace
