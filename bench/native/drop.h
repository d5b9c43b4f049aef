#pragma once

#include <string>

namespace penstock::bench {

// Throws IPv4 UDP away as soon as it comes in by a device, for as long as the process lives.
// A BPF program of seven instructions, since a firewall rule costs as much as what is measured.
// Needs root and Linux 6.6 (tcx). Throws std::system_error.
void DropMedia(const std::string& device);

}  // namespace penstock::bench
