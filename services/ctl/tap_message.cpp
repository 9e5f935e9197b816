#include "services/ctl/tap_message.hpp"

#include "common/render/record_json.hpp"
#include "services/ctl/ctl.hpp"
#include "services/ctl/output.hpp"

#include <fmt/format.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/util/json_util.h>

#include <fstream>

namespace holdfast::ctl {

namespace pb = google::protobuf;

namespace {

// Publishers and topics are a few dozen; whoever makes up more must not fill the memory.
constexpr std::size_t max_positions = 10000;

std::string json_text(std::string_view text) {
  std::string out;
  render::append_json_string(out, text);
  return out;
}

std::string time_text(std::int64_t unix_nanos) {
  std::string out;
  render::append_time(out, unix_nanos);
  return out;
}

} // namespace

std::uint64_t gap_counter::take(const v1::Envelope& envelope, std::string_view topic) {
  if (seen_.size() >= max_positions)
    seen_.clear();
  auto& last = seen_[{envelope.instance(), std::string(topic)}];
  const bool same_life = last.incarnation == envelope.incarnation();
  const auto lost = same_life && envelope.seq() > last.seq ? envelope.seq() - last.seq - 1 : 0;
  if (!same_life || envelope.seq() > last.seq)
    last = {envelope.incarnation(), envelope.seq()};
  total_ += lost;
  return lost;
}

payload_reader::payload_reader(const std::string& descriptor_file)
    : own_(descriptor_file.empty() ? nullptr : std::make_unique<pb::DescriptorPool>()),
      pool_(own_ ? own_.get() : pb::DescriptorPool::generated_pool()), factory_(pool_) {
  if (!own_)
    return;
  std::ifstream in(descriptor_file, std::ios::binary);
  pb::FileDescriptorSet set;
  if (!in || !set.ParseFromIstream(&in))
    throw failure(usage, fmt::format("failed to read {}: {}", descriptor_file,
                                     in.is_open() ? "not a FileDescriptorSet" : "no such file, or not allowed"));
  for (auto& file : set.file())
    if (own_->BuildFile(file) == nullptr)
      throw failure(usage, fmt::format("failed to read {}: {} lacks an import; write the set with "
                                       "protoc --include_imports", descriptor_file, file.name()));
}

std::optional<std::string> payload_reader::to_json(const std::string& type, std::string_view payload) {
  auto& message = reused_[type];
  if (!message) {
    const auto* descriptor = pool_->FindMessageTypeByName(type);
    if (descriptor == nullptr) {
      reused_.erase(type);  // a stream of made-up names must not fill the memory
      return std::nullopt;
    }
    message.reset(factory_.GetPrototype(descriptor)->New());
  }
  if (!message->ParseFromArray(payload.data(), static_cast<int>(payload.size())))
    return std::nullopt;
  pb::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string out;
  if (!pb::util::MessageToJsonString(*message, &out, options).ok())
    return std::nullopt;
  return out;
}

std::string hex(std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (char c : bytes) {
    out += digits[static_cast<unsigned char>(c) >> 4];
    out += digits[static_cast<unsigned char>(c) & 15];
  }
  return out;
}

std::string message_line(std::string_view topic, const v1::Envelope& envelope, std::string_view payload,
                         payload_reader& reader, bool json) {
  const auto decoded = reader.to_json(envelope.type(), payload);
  if (!json) {
    const std::string_view type = envelope.type();
    return fmt::format("{} {} #{} {} {}\n", time_text(envelope.unix_nanos()), plain(topic), envelope.seq(),
                       plain(decoded ? type.substr(type.rfind('.') + 1) : type), decoded ? *decoded : hex(payload));
  }
  return fmt::format(R"({{"topic":{},"service":{},"instance":{},"incarnation":"{:016x}","seq":{},"time":"{}",)"
                     R"("type":{},"{}":{}}})" "\n",
                     json_text(topic), json_text(envelope.service()), json_text(envelope.instance()),
                     envelope.incarnation(), envelope.seq(), time_text(envelope.unix_nanos()),
                     json_text(envelope.type()), decoded ? "payload" : "payload_hex",
                     decoded ? *decoded : json_text(hex(payload)));
}

std::string gap_line(std::string_view topic, const v1::Envelope& envelope, std::uint64_t lost, bool json) {
  if (json)
    return fmt::format(R"({{"gap":{{"topic":{},"instance":{},"lost":{}}}}})" "\n", json_text(topic),
                       json_text(envelope.instance()), lost);
  return fmt::format("gap: {} messages lost on {}\n", lost, plain(topic));
}

} // namespace holdfast::ctl
