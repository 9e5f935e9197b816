#pragma once

#include <string_view>

namespace holdfast::health {

/// The status page, page.html as it was at build time.
std::string_view page_html() noexcept;

} // namespace holdfast::health
