#include "services/store/producer_table.hpp"

namespace holdfast::store {

bool producer_table::room_for(const std::string& producer) {
  if (rows_.size() < most || rows_.contains(producer))
    return true;
  std::erase_if(rows_, [](auto& r) { return r.second.taken == 0; });
  return rows_.size() < most;
}

void producer_table::load(const std::string& producer, row r) {
  r.taken = r.committed;
  rows_[producer] = std::move(r);
}

const producer_table::row& producer_table::hello(const std::string& producer, std::uint64_t session,
                                                 const std::string& record_class, const std::string& peer) {
  auto& r = rows_[producer];
  r.session = session;
  r.record_class = record_class;
  r.peer = peer;
  r.taken = r.committed;
  return r;
}

producer_table::verdict producer_table::offer(const std::string& producer, std::uint64_t session, std::uint64_t seq) {
  auto it = rows_.find(producer);
  if (it == rows_.end() || it->second.session != session || session == 0)
    return verdict::unknown_session;
  auto& r = it->second;
  if (seq <= r.taken)
    return verdict::duplicate;
  if (seq != r.taken + 1)
    return verdict::out_of_order;
  r.taken = seq;
  return verdict::accept;
}

void producer_table::committed(const std::string& producer, std::uint64_t seq, const std::string& position) {
  auto& r = rows_[producer];
  r.committed = seq;
  r.position = position;
}

void producer_table::roll_back() {
  for (auto& [name, r] : rows_)
    r.taken = r.committed;
}

const producer_table::row* producer_table::find(const std::string& producer) const {
  auto it = rows_.find(producer);
  return it == rows_.end() ? nullptr : &it->second;
}

} // namespace holdfast::store
