// Polygons drawn as pycocotools draws them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace fasa {

// The compressed string of the union of the polygons in a JSON list [[x, y, …], …]; none where Python has to look.
std::optional<std::string> draw_polygons(std::string_view text, int64_t height, int64_t width);

}  // namespace fasa
