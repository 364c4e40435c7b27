// A cell whose versions, sequences and lengths lie.
#include <millrace/cell.hpp>

#include "fuzz.hpp"

using namespace millrace;
using namespace millrace::fuzz;

namespace {

class Story {
 public:
  explicit Story(Input& input) : input_(input) {
    writer_spec_.place = reader_spec_.place = memory_.place();
    writer_spec_.max_bytes = kMaxBytes;
    writer_spec_.slots = 3;
  }

  void tell() {
    open_writer();
    insist(writer_ != nullptr, "an honest cell opens");
    for (auto& reader : readers_)
      open_reader(reader);
    Liar& liar = memory_.liar({{layout::kCellControlOffset, 1},        // the newest version
                               {layout::kCellControlOffset + 128, 2},  // who waits
                               {layout::kCellLanesOffset, 32},         // two lanes
                               {512, 8},                               // the writer's role
                               {layout::kCellSlotsOffset, 3},
                               {layout::kCellSlotsOffset + 64, 3},
                               {layout::kCellSlotsOffset + 128, 3}});
    std::optional<Storm> storm;
    weather(storm, liar, input_);
    while (!input_.over() && writer_) {
      auto& reader = readers_[input_.below(readers_.size())];
      switch (input_.below(10)) {
        case 0:
        case 1:
        case 2:
          liar.lie(input_);
          break;
        case 3:
        case 4:
          write();
          break;
        case 5:
        case 6:
          read(reader);
          break;
        case 7:
          look(reader);
          break;
        case 8:
          open_reader(reader);
          break;
        default:
          open_writer();
      }
    }
  }

 private:
  static constexpr std::uint64_t kMaxBytes = 100;

  void open_writer() {
    writer_.reset();
    auto opened = CellWriter::open(writer_spec_, os::Deadline::after(0));
    if (opened.ok()) writer_ = opened.take();
  }
  void open_reader(std::unique_ptr<CellReader>& reader) {
    reader.reset();
    auto opened = CellReader::open(reader_spec_, os::Deadline::after(0));
    if (opened.ok()) reader = opened.take();
  }
  void write() {
    const std::uint64_t length = input_.below(kMaxBytes + 1);
    if (input_.flag()) {
      const std::vector<std::byte> value(length);
      writer_->write(value.data(), length);
      return;
    }
    writer_->begin();
    if (input_.flag()) writer_->copy_newest();
    insist_within(writer_->pool(), {writer_->next_bytes(), kMaxBytes});
    write_all({writer_->next_bytes(), kMaxBytes});
    if (input_.flag()) writer_->publish(length);
  }
  void read(std::unique_ptr<CellReader>& reader) {
    if (!reader) return;
    const CellRead measured = reader->measure();
    if (measured.status == CellRead::Status::ok || measured.status == CellRead::Status::too_small) {
      insist(measured.length <= kMaxBytes, "a length that is possible");
    }
    std::vector<std::byte> target(input_.below(kMaxBytes + 1));
    const std::uint64_t before = reader->seen();
    const CellRead found = reader->read(target.data(), target.size());
    if (found.status == CellRead::Status::ok) {
      insist(found.length <= target.size(), "no more than the target holds");
      insist(found.version >= before, "versions do not go back");
    }
    if (found.status == CellRead::Status::corrupt) reader.reset();
  }
  void look(std::unique_ptr<CellReader>& reader) {
    (void)writer_->has_readers();
    if (!reader) return;
    (void)reader->writer();
    (void)reader->stirred(reader->seen());
    (void)reader->wait_change(reader->version(), 0, 0);
    if (reader->park({input_.word(), 1})) reader->unpark();
  }

  Input& input_;
  Memory memory_;
  CellWriterSpec writer_spec_;
  CellReaderSpec reader_spec_;
  std::unique_ptr<CellWriter> writer_;
  std::array<std::unique_ptr<CellReader>, 2> readers_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  Story(input).tell();
  return 0;
}
