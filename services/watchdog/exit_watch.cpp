#include "services/watchdog/exit_watch.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <poll.h>
#include <stdexcept>
#include <sys/eventfd.h>
#include <unistd.h>

namespace holdfast::watchdog {

exit_watch::exit_watch() : wake_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (!wake_)
    throw std::runtime_error(fmt::format("failed to watch processes: {}", std::strerror(errno)));
  thread_ = std::thread([this] { run(); });
}

exit_watch::~exit_watch() {
  {
    std::lock_guard lock(mutex_);
    done_ = true;
  }
  poke();
  thread_.join();
}

void exit_watch::add(process p, handler on_exit) {
  {
    std::lock_guard lock(mutex_);
    added_.push_back({std::move(p), std::move(on_exit)});
  }
  poke();
}

void exit_watch::poke() const {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto n = ::write(wake_.get(), &one, sizeof one);
}

void exit_watch::run() {
  std::vector<entry> entries;
  std::vector<pollfd> polled;
  for (;;) {
    {
      std::lock_guard lock(mutex_);
      if (done_)
        return;
      std::move(added_.begin(), added_.end(), std::back_inserter(entries));
      added_.clear();
    }
    polled.assign(1, {wake_.get(), POLLIN, 0});
    for (auto& e : entries)
      polled.push_back({e.watched.fd(), POLLIN, 0});
    if (::poll(polled.data(), polled.size(), -1) < 0)
      continue;  // EINTR
    std::uint64_t count = 0;
    [[maybe_unused]] const auto n = ::read(wake_.get(), &count, sizeof count);
    for (auto i = entries.size(); i-- > 0;) {
      if (polled[i + 1].revents == 0)
        continue;
      entries[i].on_exit(entries[i].watched.wait());
      entries.erase(entries.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
}

} // namespace holdfast::watchdog
