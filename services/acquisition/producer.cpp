#include "services/acquisition/producer.hpp"

#include <algorithm>

namespace holdfast::acquisition {

using namespace std::chrono_literals;

namespace {
constexpr auto silence = 2000ms;        // several commits of a slow disk; then the store is asked where it stands, also
                                        // while it is full: the word that it has room again may be lost
} // namespace

producer::actions producer::greet(clock::time_point now) {
  open_ = false;
  greeting_.said(now);
  return {.hello = reachable_};
}

producer::actions producer::reachable(bool yes, clock::time_point now) {
  reachable_ = yes;
  greeting_.over();
  return greet(now);
}

producer::actions producer::welcomed(std::uint64_t last_seq, std::uint64_t total, std::uint64_t window,
                                     clock::time_point now) {
  if (open_)  // what it answers to the other hellos would send the whole window again
    return {};
  greeting_.over();
  forget(last_seq);
  // Whatever is still kept goes again, numbered from what the store has: also a store that is new, or that somebody
  // else wrote to under this name.
  if (!known_) {
    total_ += total;
    for (auto& b : kept_)
      b.total += total;
  }
  known_ = true;
  open_ = true;
  committed_total_ = kept_.empty() ? total_ : kept_.front().total - kept_.front().records;
  next_seq_ = last_seq + 1;
  sent_ = 0;
  in_flight_ = 0;
  window_ = window;
  last_word_ = now;
  return fill(now);
}

producer::actions producer::acknowledged(std::uint64_t last_seq, std::uint64_t window, clock::time_point now) {
  if (!open_)
    return {};
  last_word_ = now;
  const bool was_closed = window_ == 0;
  window_ = window;
  forget(last_seq);
  if (was_closed && window > 0) {  // a full store dropped what was on its way
    sent_ = 0;
    in_flight_ = 0;
    next_seq_ = last_seq + 1;
  }
  return fill(now);
}

producer::actions producer::refused(clock::time_point now) {
  return open_ ? greet(now) : actions{};  // one hello is enough for a burst of refusals
}

std::uint32_t producer::rejected(std::uint64_t seq) {
  auto it = std::find_if(kept_.begin(), kept_.end(), [&](auto& b) { return b.seq == seq; });
  if (it == kept_.end())
    return 0;
  const auto records = it->records;
  kept_bytes_ -= counts(*it);
  total_ -= records;  // never on disk: a device that counts must not take them for stored
  for (auto later = std::next(it); later != kept_.end(); ++later)
    later->total -= records;
  kept_.erase(it);
  return records;
}

producer::actions producer::push(std::uint32_t records, std::uint32_t crc, blob payload, clock::time_point now) {
  total_ += records;
  kept_.push_back({0, records, crc, total_, std::move(payload)});
  kept_bytes_ += counts(kept_.back());
  return fill(now);
}

producer::actions producer::tick(clock::time_point now) {
  if (!reachable_)
    return {};
  if (!open_)
    return greeting_.due(now) ? greet(now) : actions{};
  if (!kept_.empty() && now - last_word_ > silence)
    return greet(now);
  return {};
}

std::uint64_t producer::kept_records() const noexcept {
  return kept_.empty() ? 0 : total_ - (kept_.front().total - kept_.front().records);
}

producer::actions producer::fill(clock::time_point now) {
  actions out;
  if (!open_)
    return out;
  while (sent_ < kept_.size() && window_ > 0) {
    auto& b = kept_[sent_];
    if (in_flight_ > 0 && in_flight_ + b.payload.size() > window_)
      break;
    if (sent_ == 0)
      last_word_ = now;  // the wait for an answer begins here
    b.seq = next_seq_++;
    in_flight_ += b.payload.size();
    ++sent_;
    out.send.push_back(b);
  }
  return out;
}

void producer::forget(std::uint64_t last_seq) {
  while (!kept_.empty() && kept_.front().seq != 0 && kept_.front().seq <= last_seq) {
    const auto& b = kept_.front();
    committed_total_ = b.total;
    kept_bytes_ -= counts(b);
    if (sent_ > 0) {
      --sent_;
      in_flight_ -= b.payload.size();
    }
    kept_.pop_front();
  }
}

} // namespace holdfast::acquisition
