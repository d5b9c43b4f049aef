#include "media_out.h"

#include <netinet/udp.h>

#include <string_view>

#include "clock.h"
#include "farm.h"

namespace penstock::bench {

void MediaOut::Append(FarmStream& stream, size_t bytes, bool marker) {
  if (!stream.playing) return;  // torn down meanwhile
  if (used_ == 0) stamp_ns_ = Now();
  WriteHead(heads_[used_], {stamp_ns_, stream.index, stream.sequence++}, marker);
  bytes_ += bytes;
  if (stream.carrier != nullptr) return SendFrame(stream, bytes);
  parts_[2 * used_] = {heads_[used_], kHeadBytes};
  parts_[2 * used_ + 1] = {const_cast<char*>(filler_.data()), bytes - kHeadBytes};
  msghdr& header = messages_[used_].msg_hdr;
  header = {};
  header.msg_name = &stream.to;
  header.msg_namelen = sizeof(stream.to);
  header.msg_iov = &parts_[2 * used_];
  header.msg_iovlen = 2;
  fds_[used_] = stream.fd;
  if (++used_ == kBatch) Flush();
}

void MediaOut::SendFrame(FarmStream& stream, size_t bytes) {
  const std::string_view head(reinterpret_cast<const char*>(heads_[used_]), kHeadBytes);
  const std::string_view rest = std::string_view(filler_).substr(0, bytes - kHeadBytes);
  ++(stream.carrier->SendFrame(stream.channel, head, rest) ? sent_ : unsent_);
}

void MediaOut::Flush() {
  if (used_ == 0) return;
  if (merge_) {
    FlushMerged();
  } else {
    FlushUdp();
  }
  used_ = 0;
}

// Neighbours from one socket go out in one call.
void MediaOut::FlushUdp() {
  for (size_t at = 0; at < used_;) {
    size_t end = at + 1;
    while (end < used_ && fds_[end] == fds_[at]) ++end;
    const int done = ::sendmmsg(fds_[at], &messages_[at], static_cast<unsigned>(end - at), 0);
    if (done > 0) sent_ += static_cast<uint64_t>(done);
    if (done > 0 && at + static_cast<size_t>(done) < end) {
      at += static_cast<size_t>(done);  // the next call tells what stopped this one
      continue;
    }
    if (done <= 0) {
      ++unsent_;
      ++at;
      continue;
    }
    at = end;
  }
}

void MediaOut::FlushMerged() {
  msghdr header = messages_[0].msg_hdr;
  header.msg_iovlen = 2 * used_;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(uint16_t))] = {};
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  cmsghdr* part = CMSG_FIRSTHDR(&header);
  part->cmsg_level = SOL_UDP;
  part->cmsg_type = UDP_SEGMENT;
  part->cmsg_len = CMSG_LEN(sizeof(uint16_t));
  const auto segment = static_cast<uint16_t>(parts_[0].iov_len + parts_[1].iov_len);
  std::memcpy(CMSG_DATA(part), &segment, sizeof(segment));
  (::sendmsg(fds_[0], &header, 0) >= 0 ? sent_ : unsent_) += used_;
}

}  // namespace penstock::bench
