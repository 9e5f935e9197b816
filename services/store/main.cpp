#include "services/store/control.hpp"
#include "services/store/store.hpp"

using namespace holdfast;

int main(int argc, char** argv) {
  return service::run(argc, argv, {
    .service = "store",
    .about = "holdfast-store: keeps every record on disk until its destinations have confirmed it",
    .components = [](service::runtime& rt) {
      auto ctx = std::make_shared<store::context>(rt);
      ctx->file = std::make_shared<store::batch_file>(rt.config().store, rt.config().name, rt.config().classes,
                                                      rt.config().destinations);
      if (!ctx->file->set_aside().empty())
        rt.alarm("store_damaged", true, "set aside " + ctx->file->set_aside() + ": " + ctx->file->salvaged());
      store::open_sockets(ctx);
      rt.on_control([ctx = ctx.get()](const v1::ControlRequest& request, const store::control_answer& answer) {
        const auto order = [ctx](const v1::LinkCommand& c, const store::control_answer& a) {
          ctx->dispatcher.send(store::link_command{c, a});
        };
        return store::answer_links(ctx->rt.config().links, [ctx] { return ctx->links.get(); }, order, request, answer);
      });
      return std::vector<actor::child_spec>{
        {"writer", [ctx](caf::actor_system& s) { return store::spawn_writer(s, ctx); }},
        {"dispatcher", [ctx](caf::actor_system& s) { return store::spawn_dispatcher(s, ctx); }},
      };
    },
    .how = actor::strategy::rest_for_one,
  });
}
