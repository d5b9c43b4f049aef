#pragma once

#include "json.h"
#include "settings.h"

namespace penstock::bench {

class Farm;

// Sends to every playing stream: `send pattern=frames|merged|interleaved size=1200 rate=50000 seconds=2`.
//   frames       42 packets of one stream back to back, stream after stream
//   merged       the same as one message of UDP_SEGMENT, as it is after GRO on arrival
//   singly       one packet of each stream in turn
//   replay       as `file=` was recorded, over and over, each stream at another place of it
// rate=0 sends as fast as it can; a recording has its own rate.
Json SendMedia(Farm& farm, const Settings& command);

}  // namespace penstock::bench
