#include "services/store/table_names.hpp"

#include "services/store/row_types.hpp"

#include <bit>
#include <functional>

namespace holdfast::store {

namespace {

constexpr std::uint64_t no_page = UINT64_MAX;  // the root of an empty table

bool one_bit_apart(const std::string& a, const std::string& b) {
  int bits = 0;
  for (std::size_t i = 0; i < a.size() && a.size() == b.size(); ++i)
    bits += std::popcount(static_cast<unsigned char>(a[i] ^ b[i]));
  return bits == 1;
}

// Not from a table that is known to be another; rather from one that is not empty, for an empty one may really have that
// name. Returns whether the table is there then.
bool mend(storage::raw_file::databases& tables, const std::string& name,
          const std::function<bool(const std::string&)>& known) {
  if (tables.contains(name))
    return true;
  auto best = tables.end();
  for (auto t = tables.begin(); t != tables.end(); ++t)
    if (one_bit_apart(t->first, name) && !known(t->first) && (best == tables.end() || best->second.root == no_page))
      best = t;
  if (best == tables.end())
    return false;
  tables[name] = best->second;
  tables.erase(best);
  return true;
}

} // namespace

void mend_row_tables(storage::raw_file::databases& tables) {
  for (const std::string name : row_tables)
    mend(tables, name, [](auto&) { return false; });
}

std::vector<std::string> mend_class_tables(storage::raw_file::databases& tables,
                                           const std::map<std::string, std::uint64_t>& given) {
  std::vector<std::string> missing;
  for (auto& [name, head] : given)
    if (head > 0 && !mend(tables, std::string(class_prefix) + name, [&](const std::string& other) {
          return other.starts_with(class_prefix) && given.contains(other.substr(class_prefix.size()));
        }))
      missing.push_back(name);
  return missing;
}

} // namespace holdfast::store
