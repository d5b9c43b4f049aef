// The one mapping of the region that a process has, shared by all its threads.
#pragma once

#include "memory/memfd.h"
#include "table/region.h"

namespace penstock::binding {

struct ProcessRegion {
  memory::Mapping mapping;
  table::Region region;

  ProcessRegion(int fd, size_t bytes) : mapping(fd, bytes), region(mapping.base(), bytes) {}
};

// Maps at the first call; later calls must name the same file. Never unmapped: JavaScript and
// native threads hold it as long as the process lives.
// Throws SystemError, or std::invalid_argument where the file is not a region, or is another one.
ProcessRegion& MapProcessRegion(int fd);

// Throws std::runtime_error where nothing was mapped yet.
ProcessRegion& MappedRegion();

}  // namespace penstock::binding
