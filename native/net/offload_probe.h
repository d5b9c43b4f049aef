// What the kernel here really does, tried on loopback sockets.
#pragma once

#include <string>

namespace penstock::net {

// "ok" or the reason. Neither throws.
std::string ProbeGso();  // one UDP_SEGMENT message arrives as two packets
std::string ProbeGro();  // …and as one merged buffer at a socket that asked for it

}  // namespace penstock::net
