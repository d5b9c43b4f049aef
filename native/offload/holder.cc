#include "offload/holder.h"

#include <linux/bpf.h>
#include <net/if.h>

#include <cerrno>

#include "memory/cell.h"
#include "memory/system_error.h"
#include "offload/bpf.h"

namespace penstock::offload {
namespace {

constexpr uint32_t kTurnsPerSweep = 4;  // of Tend

std::string NameOf(uint32_t interface) {
  char name[IF_NAMESIZE] = {};
  return ::if_indextoname(interface, name) != nullptr ? name : "interface " + std::to_string(interface);
}

// Cheap questions come first: each may have no for an answer.
Maps MakeMaps(const table::Region& region) {
  RequireTcx();
  return CreateMaps(region.streams());
}

}  // namespace

Holder::Holder(const table::Region& region)
    : region_(region),
      maps_(MakeMaps(region)),
      program_(LoadRelay(maps_.flows.get(), maps_.cells.get())),
      table_(fds(), region.streams()) {}

std::vector<InterfaceNews> Holder::Tend() {
  std::vector<InterfaceNews> news;
  LetGo(news);
  AttachWanted(news);
  if (turns_++ % kTurnsPerSweep == 0) RemoveClosedFlows();
  return news;
}

// The kernel detaches the program from an interface that it removes; the number will not come again soon.
void Holder::LetGo(std::vector<InterfaceNews>& news) {
  for (auto at = attached_.begin(); at != attached_.end();) {
    if (InterfaceOfLink(at->second.link.get()) != 0) {
      ++at;
      continue;
    }
    news.push_back({InterfaceNews::kLost, at->second.name, ""});
    DeleteElement(maps_.interfaces.get(), &at->first);
    at = attached_.erase(at);
  }
}

void Holder::AttachWanted(std::vector<InterfaceNews>& news) {
  std::vector<uint32_t> wanted;
  uint32_t interface = 0;
  for (const uint32_t* from = nullptr; NextKey(maps_.interfaces.get(), from, &interface) == 0; from = &interface) {
    uint32_t state = 0;
    LookUpElement(maps_.interfaces.get(), &interface, &state);
    if (state == RELAY_INTERFACE_WANTED) wanted.push_back(interface);
  }
  for (const uint32_t each : wanted) news.push_back(Attach(each));
}

InterfaceNews Holder::Attach(uint32_t interface) {
  const std::string name = NameOf(interface);
  try {
    attached_[interface] = {name, AttachIngress(program_.get(), interface)};
    SetState(interface, RELAY_INTERFACE_ATTACHED);
    return {InterfaceNews::kAttached, name, ""};
  } catch (const memory::SystemError& failure) {
    attached_.erase(interface);
    if (failure.error() == ENODEV) {
      DeleteElement(maps_.interfaces.get(), &interface);
    } else {
      SetState(interface, RELAY_INTERFACE_REFUSED);
    }
    return {InterfaceNews::kRefused, name, failure.what()};
  }
}

void Holder::SetState(uint32_t interface, relay_interface state) {
  const uint32_t value = state;
  UpdateElement(maps_.interfaces.get(), &interface, &value, BPF_ANY);
}

void Holder::RemoveClosedFlows() {
  RemoveClosed(table_, [this](uint32_t stream, uint32_t generation) {
    const table::StreamEntry* row = region_.Stream(stream);
    return row != nullptr && memory::LoadAcquire(row->state) == table::kRowOpen &&
           memory::Load(row->generation) == generation;
  });
}

}  // namespace penstock::offload
