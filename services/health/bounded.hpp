#pragma once

#include <string>

// What a peer may make us remember: cut texts, and maps that take no new key when they are full.

namespace holdfast::health {

inline constexpr std::size_t text_limit = 500;
inline constexpr std::size_t entry_limit = 512;

/// At most text_limit bytes, and no half UTF-8 character at the end.
inline std::string cut(const std::string& s) {
  if (s.size() <= text_limit)
    return s;
  auto end = text_limit;
  while (end > 0 && (static_cast<unsigned char>(s[end]) & 0xC0) == 0x80)
    --end;
  return s.substr(0, end) + "...";
}

/// The entry of that key, a new one where there is room, or null.
template <class Map> typename Map::mapped_type* place(Map& map, const std::string& key) {
  const auto name = cut(key);
  const auto it = map.find(name);
  if (it != map.end())
    return &it->second;
  return map.size() < entry_limit ? &map[name] : nullptr;
}

} // namespace holdfast::health
