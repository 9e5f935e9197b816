#include "common/storage/damage_exit.hpp"

#include <fmt/format.h>

#include <unistd.h>

namespace holdfast::storage {

namespace {

std::string last_words;  // of the handler, which may not allocate

extern "C" void leave(int) {
  [[maybe_unused]] const auto n = ::write(STDERR_FILENO, last_words.data(), last_words.size());
  ::_exit(2);
}

} // namespace

damage_exit::damage_exit(const std::string& directory) {
  last_words = fmt::format("failed to read {}: its pages are not what LMDB wrote, it is damaged or cut off; reading "
                           "ends here\n", directory);
  struct sigaction action {};
  action.sa_handler = leave;
  for (std::size_t i = 0; i < signals_.size(); ++i)
    ::sigaction(signals_[i], &action, &before_[i]);
}

damage_exit::~damage_exit() {
  for (std::size_t i = 0; i < signals_.size(); ++i)
    ::sigaction(signals_[i], &before_[i], nullptr);
}

} // namespace holdfast::storage
