// One file per message of the contract with every field set, as an earlier release wrote it: it must still be read to
// the same values (golden/<message>.txt). After adding a message: holdfast_unit "[.generate]" writes what is missing;
// files that exist are never rewritten.

#include "holdfast/v1/control.pb.h"
#include "holdfast/v1/envelope.pb.h"
#include "holdfast/v1/ingest.pb.h"
#include "holdfast/v1/record.pb.h"
#include "holdfast/v1/storage.pb.h"
#include "holdfast/v1/wire.pb.h"
#include "messages_descriptors.hpp"
#include "storage_support.hpp"

#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>

#include <array>

using namespace test;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

namespace {

const std::string golden = HOLDFAST_SOURCE_DIR "/tests/unit/golden/";

/// The generated class of a message; null: there is none.
const Message* generated(const std::string& full_name) {
  namespace v1 = holdfast::v1;  // mentioned so that all of the contract is linked; events and dispatch come along
  static const std::array linked{v1::ControlReply::descriptor(), v1::Envelope::descriptor(), v1::Batch::descriptor(),
                                 v1::ProducerMessage::descriptor(), v1::OriginRow::descriptor(),
                                 v1::WireMessage::descriptor()};
  const auto* d = linked.front()->file()->pool()->FindMessageTypeByName(full_name);
  return d == nullptr ? nullptr : google::protobuf::MessageFactory::generated_factory()->GetPrototype(d);
}

void fill(Message& m, int depth);

void set(Message& m, const FieldDescriptor& f, int depth, int salt) {
  const auto& r = *m.GetReflection();
  const bool many = f.is_repeated();
  const auto n = f.number() * 100 + salt;
  const auto text = "é " + f.name() + std::to_string(salt);
  const auto* value = f.enum_type() != nullptr ? f.enum_type()->value(f.enum_type()->value_count() - 1) : nullptr;
  switch (f.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32: many ? r.AddInt32(&m, &f, -n) : r.SetInt32(&m, &f, -n); break;
    case FieldDescriptor::CPPTYPE_INT64: many ? r.AddInt64(&m, &f, -n) : r.SetInt64(&m, &f, INT64_MIN + n); break;
    case FieldDescriptor::CPPTYPE_UINT32:
      many ? r.AddUInt32(&m, &f, static_cast<unsigned>(n)) : r.SetUInt32(&m, &f, UINT32_MAX - static_cast<unsigned>(n));
      break;
    case FieldDescriptor::CPPTYPE_UINT64:
      many ? r.AddUInt64(&m, &f, static_cast<unsigned>(n)) : r.SetUInt64(&m, &f, UINT64_MAX - static_cast<unsigned>(n));
      break;
    case FieldDescriptor::CPPTYPE_DOUBLE: many ? r.AddDouble(&m, &f, n + 0.125) : r.SetDouble(&m, &f, n + 0.125); break;
    case FieldDescriptor::CPPTYPE_FLOAT:
      many ? r.AddFloat(&m, &f, static_cast<float>(n)) : r.SetFloat(&m, &f, static_cast<float>(n));
      break;
    case FieldDescriptor::CPPTYPE_BOOL: many ? r.AddBool(&m, &f, true) : r.SetBool(&m, &f, true); break;
    case FieldDescriptor::CPPTYPE_ENUM: many ? r.AddEnum(&m, &f, value) : r.SetEnum(&m, &f, value); break;
    case FieldDescriptor::CPPTYPE_STRING: {
      const auto bytes = f.type() == FieldDescriptor::TYPE_BYTES ? std::string("\0\xff", 2) + text : text;
      many ? r.AddString(&m, &f, bytes) : r.SetString(&m, &f, bytes);
      break;
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      fill(many ? *r.AddMessage(&m, &f) : *r.MutableMessage(&m, &f), depth + 1);
      break;
  }
}

/// Every field. A oneof holds one of its fields: messages that repeat this one show the others (fill_all).
void fill(Message& m, int depth) {
  const auto& d = *m.GetDescriptor();
  if (depth > 5)
    return;
  for (int i = 0; i < d.field_count(); ++i) {
    auto& f = *d.field(i);
    if (f.real_containing_oneof() != nullptr && f.real_containing_oneof()->field(0) != &f)
      continue;
    set(m, f, depth, 1);
    if (f.is_repeated())
      set(m, f, depth, 2);
  }
}

/// One message, and one more for each further field of its oneofs.
std::vector<std::unique_ptr<Message>> fill_all(const Message& prototype) {
  std::vector<std::unique_ptr<Message>> out;
  out.emplace_back(prototype.New());
  fill(*out.back(), 0);
  const auto& d = *prototype.GetDescriptor();
  for (int o = 0; o < d.real_oneof_decl_count(); ++o)
    for (int i = 1; i < d.oneof_decl(o)->field_count(); ++i) {
      out.emplace_back(prototype.New());
      fill(*out.back(), 0);
      set(*out.back(), *d.oneof_decl(o)->field(i), 0, 1);
    }
  return out;
}

/// "Batch", "Record", "Record.integer", ...
std::vector<std::pair<std::string, std::unique_ptr<Message>>> samples() {
  std::vector<std::pair<std::string, std::unique_ptr<Message>>> out;
  for (auto* d : messages_of(current_pool())) {
    const auto* prototype = generated(d->full_name());
    REQUIRE(prototype != nullptr);
    for (auto& m : fill_all(*prototype)) {
      std::string name = d->full_name().substr(d->file()->package().size() + 1);
      if (d->real_oneof_decl_count() > 0)
        if (auto* f = m->GetReflection()->GetOneofFieldDescriptor(*m, m->GetDescriptor()->oneof_decl(0)))
          name += "." + f->name();
      out.emplace_back(name, std::move(m));
    }
  }
  return out;
}

} // namespace

TEST_CASE("golden files are written for messages that have none", "[.generate]") {
  std::filesystem::create_directories(golden);
  for (auto& [name, m] : samples()) {
    if (std::filesystem::exists(golden + name + ".bin"))
      continue;
    std::string text;
    google::protobuf::TextFormat::PrintToString(*m, &text);
    write_file(golden + name + ".bin", m->SerializeAsString());
    write_file(golden + name + ".txt", text);
  }
}

TEST_CASE("every message of the contract has a golden file", "[messages]") {
  for (auto& [name, m] : samples()) {
    INFO(name << ": run holdfast_unit \"[.generate]\"");
    CHECK(std::filesystem::exists(golden + name + ".bin"));
    CHECK(std::filesystem::exists(golden + name + ".txt"));
  }
}

TEST_CASE("what earlier releases wrote is read to the same values", "[messages]") {
  std::size_t read = 0;
  for (auto& entry : std::filesystem::directory_iterator(golden)) {
    if (entry.path().extension() != ".bin")
      continue;
    const auto name = entry.path().stem().string();
    INFO(name);
    const auto* prototype = generated("holdfast.v1." + name.substr(0, name.find('.')));
    REQUIRE(prototype != nullptr);
    std::unique_ptr<Message> from_bytes(prototype->New());
    std::unique_ptr<Message> from_text(prototype->New());
    REQUIRE(from_bytes->ParseFromString(read_file(entry.path().string())));
    REQUIRE(google::protobuf::TextFormat::ParseFromString(read_file(golden + name + ".txt"), from_text.get()));
    CHECK(from_bytes->GetReflection()->GetUnknownFields(*from_bytes).empty());
    CHECK(google::protobuf::util::MessageDifferencer::Equals(*from_bytes, *from_text));
    ++read;
  }
  CHECK(read >= 50);
}
