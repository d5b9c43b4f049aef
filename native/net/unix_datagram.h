// One message to a unix datagram socket, which Node.js has no words for: service managers listen on such ones.
#pragma once

#include <string>
#include <string_view>

namespace penstock::net {

// `path` begins with '@' for a name in the abstract namespace. Throws SystemError; EAGAIN where nobody reads for a second.
void SendUnixDatagram(const std::string& path, std::string_view text);

}  // namespace penstock::net
