const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/**
 * 32-bit hash of a text: FNV-1a over its UTF-16 units, then the finaliser of MurmurHash3, as the low bits of FNV alone
 * are poor for keys that differ in their last character (cam1, cam2…). The same in every worker and after a restart.
 * Not keyed: whoever chooses URLs may gather them on one server.
 */
export function hash32(text: string, seed = 0): number {
  let hash = FNV_OFFSET ^ seed;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), FNV_PRIME);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
