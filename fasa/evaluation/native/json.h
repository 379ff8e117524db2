// The parts of JSON that results and polygons are made of, read from bytes that may end anywhere.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <system_error>

namespace fasa {

// Every method that reads says whether it could; `short_of_bytes` tells a cut from a fault.
class JsonCursor {
  public:
    JsonCursor(const char *at, const char *end) : at(at), end_(end) {}

    bool space() {
        while (at < end_ && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) ++at;
        return at < end_ || cut();
    }

    // The next byte that is no white space, if it is this one.
    bool taken(char wanted) {
        if (!space() || *at != wanted) return false;
        ++at;
        return true;
    }

    bool whole(int64_t &value) {
        std::string_view text;
        bool fraction;
        if (!token(text, fraction) || fraction || text.size() > LONGEST_WHOLE) return false;
        std::from_chars(text.data(), text.data() + text.size(), value);
        return true;
    }

    // A number as Python reads it: the nearest double; one that is beyond double, or nearly 0, is left to Python.
    bool number(double &value) {
        std::string_view text;
        bool fraction;
        if (!token(text, fraction)) return false;
        const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        return error == std::errc{} && stop == text.data() + text.size();
    }

    bool short_of_bytes = false;
    const char *at;

  protected:
    bool cut() {
        short_of_bytes = true;
        return false;
    }

    // A JSON number's bytes; `fraction`: it has a point or an exponent.
    bool token(std::string_view &text, bool &fraction) {
        if (!space()) return false;
        const char *const begin = at;
        if (*at == '-') ++at;
        const char *const first = at;
        const auto many = digits();
        fraction = false;
        bool sound = many > 0 && (many == 1 || *first != '0');
        if (at < end_ && *at == '.') {
            ++at;
            fraction = true;
            sound &= digits() > 0;
        }
        if (at < end_ && (*at == 'e' || *at == 'E')) {
            ++at;
            fraction = true;
            if (at < end_ && (*at == '+' || *at == '-')) ++at;
            sound &= digits() > 0;
        }
        if (at == end_) return cut();
        text = {begin, static_cast<size_t>(at - begin)};
        return sound;
    }

    const char *end_;

  private:
    static constexpr size_t LONGEST_WHOLE = 18;  // digits that are sure to fit

    std::ptrdiff_t digits() {
        const char *const first = at;
        while (at < end_ && *at >= '0' && *at <= '9') ++at;
        return at - first;
    }
};

}  // namespace fasa
