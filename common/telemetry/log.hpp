#pragma once

#include <fmt/core.h>

#include <string_view>

namespace holdfast::log {

enum class level { trace, debug, info, warn, error, off };

/// Starts the log of this process: one line per entry on standard error, "time level service text", written by a thread
/// of its own. When nobody reads standard error, the oldest lines are dropped: a log never stops the data path.
void open(std::string_view service, level threshold);
/// Writes what is queued and ends the thread.
void close();
void set_level(level threshold);
/// Accepts trace, debug, info, warn, error, off; false for anything else.
bool parse(std::string_view text, level& out);
bool enabled(level l) noexcept;
void write(level l, std::string_view text);

template <class... A> void debug(fmt::format_string<A...> f, A&&... a) {
  if (enabled(level::debug))
    write(level::debug, fmt::format(f, std::forward<A>(a)...));
}
template <class... A> void info(fmt::format_string<A...> f, A&&... a) {
  if (enabled(level::info))
    write(level::info, fmt::format(f, std::forward<A>(a)...));
}
template <class... A> void warn(fmt::format_string<A...> f, A&&... a) {
  if (enabled(level::warn))
    write(level::warn, fmt::format(f, std::forward<A>(a)...));
}
template <class... A> void error(fmt::format_string<A...> f, A&&... a) {
  if (enabled(level::error))
    write(level::error, fmt::format(f, std::forward<A>(a)...));
}

} // namespace holdfast::log
