// IPsec is the sockets' alone: what the relay takes is neither decrypted, checked nor encrypted by policy.
#pragma once

namespace penstock::offload {

// Whether this machine (this network namespace) has any IPsec policy, or may have: true where the
// kernel knows of policies and does not say how many.
bool HasIpsecPolicies();

}  // namespace penstock::offload
