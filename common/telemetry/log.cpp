#include "common/telemetry/log.hpp"

#include <fmt/format.h>
#include <spdlog/async.h>
#include <spdlog/sinks/ansicolor_sink.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <mutex>

namespace holdfast::log {

namespace {

std::shared_ptr<spdlog::async_logger> logger;
std::shared_ptr<spdlog::details::thread_pool> pool;
std::mutex mutex;
std::atomic<level> threshold_now{level::info};

spdlog::level::level_enum native(level l) {
  switch (l) {
    case level::trace: return spdlog::level::trace;
    case level::debug: return spdlog::level::debug;
    case level::info: return spdlog::level::info;
    case level::warn: return spdlog::level::warn;
    case level::error: return spdlog::level::err;
    case level::off: return spdlog::level::off;
  }
  return spdlog::level::info;
}

} // namespace

void open(std::string_view service, level threshold) {
  std::lock_guard lock(mutex);
  pool = std::make_shared<spdlog::details::thread_pool>(4096, 1);
  auto sink = std::make_shared<spdlog::sinks::ansicolor_stderr_sink_mt>();
  logger = std::make_shared<spdlog::async_logger>(std::string(service), sink, pool,
                                                  spdlog::async_overflow_policy::overrun_oldest);
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %^%l%$ %n %v");
  logger->set_level(spdlog::level::trace);
  logger->flush_on(spdlog::level::info);
  threshold_now = threshold;
}

void close() {
  std::lock_guard lock(mutex);
  pool.reset();  // its thread writes what is queued, and ends, before what it writes with
  logger.reset();
}

void set_level(level threshold) { threshold_now = threshold; }

bool parse(std::string_view text, level& out) {
  constexpr std::pair<std::string_view, level> names[] = {
    {"trace", level::trace}, {"debug", level::debug}, {"info", level::info},
    {"warn", level::warn},   {"error", level::error}, {"off", level::off}};
  for (auto& [name, value] : names)
    if (name == text)
      return out = value, true;
  return false;
}

namespace {

// What peers call themselves must not begin a line of its own or steer a terminal.
std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f)
      out += fmt::format("\\x{:02x}", byte);
    else
      out += c;
  }
  return out;
}

} // namespace

bool enabled(level l) noexcept { return l >= threshold_now.load(std::memory_order_relaxed); }

void write(level l, std::string_view text) {
  std::lock_guard lock(mutex);
  if (logger)
    logger->log(native(l), printable(text));
}

} // namespace holdfast::log
